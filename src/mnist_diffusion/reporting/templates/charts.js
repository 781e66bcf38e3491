// Draw every chart from its specification, one of `specs`, which stands before. Expressions are interpreted, never compiled,
// so that the page's security policy can forbid eval as it forbids the network.
const still = matchMedia("(prefers-reduced-motion: reduce)");

async function draw(place) {
  const spec = specs[place.dataset.spec];
  const options = { actions: false, ast: true, renderer: "svg", hover: true };
  try {
    await vegaEmbed(place, spec, options);
    place.dataset.drawn = "yes";
  } catch (error) {
    console.error(`${place.id}: ${error}`);
  }
}

function film(player) {
  const slider = player.querySelector("input");
  const button = player.querySelector("button");
  const output = player.querySelector("output");
  const screen = player.querySelector("[role=img]");
  const last = Number(slider.max);
  let timer = null;
  function show() {
    screen.style.backgroundPosition = `0 ${(100 * slider.value) / last}%`;
    output.textContent = `step ${slider.value} of ${last}`;
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  function tick() {
    if (Number(slider.value) >= last) return stop();
    slider.value = Number(slider.value) + 1;
    show();
  }
  slider.addEventListener("input", () => { stop(); show(); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= last) slider.value = 0;
    show();
    if (still.matches) return tick();
    timer = setInterval(tick, 160);
    button.textContent = "Pause";
  });
  show();
}

// A link into a folded part opens it first.
function unfold() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (target) target.scrollIntoView();
}

async function start() {
  document.querySelectorAll(".film").forEach(film);
  for (const place of document.querySelectorAll("[data-spec]")) await draw(place);
  document.body.dataset.charts = "drawn";
  addEventListener("hashchange", unfold);
  unfold();
}

start();
