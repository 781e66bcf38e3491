"use strict";
// Two choices side by side: what is chosen, who draws it, and what of it has been published.

const facts = JSON.parse(document.getElementById("facts").textContent);
const one = (selector, within = document) => within.querySelector(selector);

// What the page carries: deflated, first bytes of four first, then second ones.
const unpacked = async (id) => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const shuffled = new Uint8Array(await new Response(stream).arrayBuffer());
  const content = new Uint8Array(shuffled.length), n = shuffled.length / 4;
  for (let b = 0; b < 4; b++) for (let i = 0; i < n; i++) content[4 * i + b] = shuffled[b * n + i];
  return content;
};

const engine = URL.createObjectURL(new Blob([one("#engine").textContent], { type: "text/javascript" }));
const still = matchMedia("(prefers-reduced-motion: reduce)");
const TEN = 10, PIXELS = 784;
const WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const KEYS = ["run", "sampler", "steps", "eta", "guidance", "spacing", "x0_bound", "guidance_interval", "guidance_rescale"];

// What both sides share: which noise, what is asked for, and what is looked at.
const common = {
  get root() { return Math.max(0, Math.floor(Number(one("#root").value)) || 0); },
  get first() { return TEN * (Math.max(0, Math.floor(Number(one("#ten").value)) || 0)); },
  get digit() { return one("#digit").value; },
  get index() { return this.first + Number(one("input[name=which]:checked").value); },
  get moment() { return Number(one("#moment").value) / Number(one("#moment").max); },
};

function paint(canvas, images, columns = 1) {
  canvas.width = 28 * Math.min(columns, images.length);
  canvas.height = 28 * Math.ceil(images.length / columns);
  const context = canvas.getContext("2d"), ink = context.createImageData(28, 28);
  images.forEach((image, k) => {
    if (!image) return;
    for (let i = 0; i < PIXELS; i++) ink.data.set([27, 36, 51, image[i]], 4 * i);
    context.putImageData(ink, 28 * (k % columns), 28 * Math.floor(k / columns));
  });
}

function option(value, text, within) {
  within.append(new Option(text, value));
}

class Side {
  constructor(letter, cell) {
    this.place = one(`#side-${letter}`);
    this.controls = one(`#controls-${letter}`);
    this.letter = letter.toUpperCase();
    this.worker = new Worker(engine);
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = ({ message }) => this.fail(message);
    this.known = new Set();
    this.id = 0;
    this.films = {};
    this.drawing = {};
    this.fill();
    this.take(facts.cells[cell]);
  }

  get(name) { return one(`[name=${name}]`, this.controls); }

  tell(part, text) { one(`.${part}`, this.place).textContent = text; }

  get run() { return facts.runs[this.cell.run]; }

  fill() {
    for (const [name, run] of Object.entries(facts.runs)) {
      option(name, `${name}: ${run.what}`, this.get("run"));
      const group = this.get("published").appendChild(document.createElement("optgroup"));
      group.label = name;
      for (const [cell, { settings }] of Object.entries(facts.cells)) if (settings.run === name) option(cell, cell, group);
    }
    for (const [name, text] of Object.entries(facts.samplers)) option(name, text, this.get("sampler"));
    this.get("published").onchange = ({ target }) => {
      const cell = facts.cells[target.value];
      if (!cell) return this.show();
      one("#root").value = cell.root;
      this.take(cell);
      drawAll();
    };
    this.get("run").onchange = ({ target }) => {
      this.take(Object.values(facts.cells).find(({ settings }) => settings.run === target.value));
      this.draw();
    };
    for (const name of ["steps", "guidance"]) {
      const dial = this.get(`${name}_dial`);
      dial.oninput = () => { this.get(name).value = dial.value; this.read(); };
    }
    this.controls.oninput = ({ target }) => {
      if (!["published", "run", "steps_dial", "guidance_dial"].includes(target.name)) this.read();
    };
    one("button", this.place).onclick = () => { one("#root").value = facts.cells[this.published].root; drawAll(); };
  }

  // Show what a cell chooses; its lesser choices stay until another cell is taken.
  take({ settings, also }) {
    this.cell = { ...settings };
    for (const name of ["run", "sampler", "steps", "guidance"]) this.get(name).value = settings[name];
    this.get("prompt").value = "";
    one(".also", this.controls).textContent = also && `As there: ${also}.`;
    this.show();
  }

  // Take what is shown; a number that is none stays what it was.
  read() {
    const number = (name, low, high) => {
      const value = this.get(name).valueAsNumber;
      return value >= low && value <= high ? value : this.cell[name];
    };
    const sampler = this.get("sampler").value, free = this.run.conditioning === "uncond";
    if (sampler !== this.cell.sampler) this.cell.eta = facts.eta[sampler] ?? 0;
    this.cell.sampler = sampler;
    this.cell.steps = Math.floor(number("steps", 1, this.run.timesteps));
    this.cell.guidance = free ? 0 : number("guidance", 0, 1e6);
    this.draw();
  }

  show() {
    for (const name of ["steps", "guidance"]) this.get(`${name}_dial`).value = this.cell[name];
    for (const name of ["guidance", "guidance_dial"]) this.get(name).disabled = this.run.conditioning === "uncond";
    this.get("prompt").closest("label").hidden = this.run.conditioning !== "text";
    const same = Object.keys(facts.cells).filter((name) => {
      return KEYS.every((key) => JSON.stringify(facts.cells[name].settings[key]) === JSON.stringify(this.cell[key]));
    });
    // of cells that differ in their noise or prompts alone, the one whose noise this is
    const fit = same.filter((name) => facts.cells[name].root === common.root), chosen = this.get("published").value;
    this.published = [fit, same].flatMap((names) => (names.includes(chosen) ? [chosen] : names))[0] ?? null;
    this.get("published").value = this.published ?? "";
  }

  asked(index) {
    const { conditioning } = this.run, digit = common.digit === "" ? index % TEN : Number(common.digit);
    if (conditioning === "uncond" || this.cell.guidance === 0) return null;
    if (conditioning === "class") return digit;
    const own = this.get("prompt").value.trim(), cell = facts.cells[this.published];
    const known = common.digit === "" && cell?.prompts[index];
    return own || known || `a handwritten ${WORDS[digit]}`;
  }

  // Give the worker a network that it has not; the judge first of all.
  async teach(name) {
    const { files, ...run } = facts.runs[name], lesson = { name, run };
    const judge = this.known.size ? null : await unpacked(facts.judge);
    for (const [what, id] of Object.entries(files)) lesson[what] = (await unpacked(id)).buffer;
    if (this.known.has(name)) return; // another draw was faster
    if (judge) this.worker.postMessage({ judge: judge.buffer });
    this.worker.postMessage(lesson);
    this.known.add(name);
  }

  async draw() {
    const id = ++this.id;
    this.films = {};
    this.show();
    this.place.dataset.drawn = "";
    const published = facts.cells[this.published], images = published && (await unpacked(published.images));
    if (!this.known.has(this.cell.run)) await this.teach(this.cell.run);
    if (id !== this.id) return; // a newer wish has begun meanwhile
    this.images = images;
    const indices = Array.from({ length: TEN }, (_, k) => common.first + k);
    indices.sort((a, b) => (b === common.index) - (a === common.index));
    const jobs = indices.map((index) => ({ cell: { ...this.cell }, root: common.root, index, asked: this.asked(index) }));
    this.drawing = Object.fromEntries(jobs.map((job) => [job.index, job]));
    this.worker.postMessage({ id, jobs });
    this.score();
    this.refresh();
  }

  hear({ id, index, last, ...frame }) {
    if (id !== this.id) return;
    const film = this.films[index] ??= { frames: [] };
    film.frames.push(frame);
    film.whole = last;
    this.refresh();
  }

  refresh() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = null; this.render(); });
  }

  render() {
    const film = this.films[common.index], frames = film?.frames ?? [];
    const at = film?.whole ? Math.round(common.moment * (frames.length - 1)) : frames.length - 1, frame = frames[at];
    const ten = Array.from({ length: TEN }, (_, k) => this.films[common.first + k]);
    paint(one(".ten", this.place), ten.map((own) => own?.frames.at(-1).x0), this.place.clientWidth > 400 ? 10 : 5);
    this.prove(ten);
    if (ten.every((own) => own?.whole)) this.place.dataset.drawn = "ten";
    if (!frame) return;
    paint(one(".large", this.place), [frame.x0]);
    paint(one(".state", this.place), [frame.x]);
    const seen = frame.odds.indexOf(Math.max(...frame.odds)), share = (100 * frame.odds[seen]).toFixed(1);
    const asked = this.drawing[common.index].asked;
    this.tell("seen", `The judge sees a ${seen}, ${share} % sure${asked === null ? "" : typeof asked === "number" ? `; asked for a ${asked}` : `; asked for “${asked}”`}.`);
    one(".large", this.place).setAttribute("aria-label", `${this.letter}: the digit as drawn so far; the judge sees a ${seen}`);
    one(".odds", this.place).querySelectorAll("i").forEach((bar, digit) => { bar.style.height = `${100 * frame.odds[digit]}%`; });
    const strange = frame.strange.length ? `Not among the words it was trained on: ${frame.strange.join(", ")}.` : "";
    if (one(".unknown", this.controls).textContent !== strange) one(".unknown", this.controls).textContent = strange;
    const end = frames.at(-1), steps = this.cell.steps;
    this.tell("moment", `step ${at} of ${steps}`);
    this.tell("cost", film.whole ? `${end.evaluations} evaluations, ${(end.milliseconds / 1000).toFixed(2)} s here` : "drawing …");
  }

  fail(cause) {
    this.broken = `This browser cannot draw: ${cause}`;
    this.score();
  }

  score() {
    const cell = facts.cells[this.published];
    const none = "Nobody has published a sample set of this choice, so there is no score to show.";
    this.tell("score", this.broken ?? cell?.score ?? none);
    this.tell("name", this.published ?? "a choice of your own");
  }

  // Hold what is drawn against what the cell has published of the same noise.
  prove(ten) {
    const cell = facts.cells[this.published], chip = one(".chip", this.place), button = one("button", this.place);
    const say = (kind, mark, text) => {
      chip.hidden = !mark;
      chip.className = `chip ${kind}`;
      chip.textContent = mark;
      if (one(".proof", this.place).textContent !== text) this.tell("proof", text);
    };
    button.hidden = !cell || cell.root === common.root;
    if (!cell) return say("", "", "");
    if (cell.root !== common.root) return say("", "", `${this.published} was drawn from other noise, that of seed ${cell.root}.`);
    const { images } = this;
    const mine = ten.filter((film, k) => film?.whole && common.first + k < images.length / PIXELS && this.likePublished(cell, common.first + k));
    if (!mine.length) return say("", "", `The page has the first ${TEN} images of ${this.published} to compare with, asked as they were.`);
    let same = 0, most = 0;
    ten.forEach((film, k) => {
      if (!mine.includes(film)) return;
      const image = film.frames.at(-1).x, start = (common.first + k) * PIXELS;
      for (let i = 0; i < PIXELS; i++) {
        same += image[i] === images[start + i];
        most = Math.max(most, Math.abs(image[i] - images[start + i]));
      }
    });
    const counted = `${same.toLocaleString("en")} of ${(mine.length * PIXELS).toLocaleString("en")} pixels are the same`;
    const text = `${mine.length} of the images that ${this.published} published, drawn again here: ${counted}`;
    if (most <= 1) say("holds", "✓ equal within rounding", `${text}${most ? ", none is off by more than a grey level" : ""}.`);
    else say("fails", "✗ not equal", `${text}, and one is off by ${most} grey levels.`);
  }

  likePublished(cell, index) {
    const { asked } = this.drawing[index];
    return asked === null || (typeof asked === "number" ? asked === index % TEN : asked === cell.prompts[index]);
  }
}

const sides = [];
addEventListener("unhandledrejection", ({ reason }) => sides.forEach((side) => side.fail(reason.message)));

function drawAll() {
  sides.forEach((side) => side.draw());
}

function look() {
  sides.forEach((side) => side.refresh());
}

function play() {
  const slider = one("#moment"), button = one("#play");
  if (play.timer) return stop();
  if (still.matches) {
    slider.value = Number(slider.value) >= Number(slider.max) ? 0 : Number(slider.value) + slider.max / 20;
    return look();
  }
  if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
  button.textContent = "Pause";
  play.timer = setInterval(() => {
    slider.value = Number(slider.value) + slider.max / 100;
    look();
    if (Number(slider.value) >= Number(slider.max)) stop();
  }, 30);
}

function stop() {
  clearInterval(play.timer);
  play.timer = null;
  one("#play").textContent = "Play";
}

one("#moment").oninput = () => { stop(); look(); };
one("#play").onclick = play;
one("#other").onclick = () => { one("#ten").value = common.first / TEN + 1; drawAll(); };
for (const id of ["#root", "#ten", "#digit"]) one(id).onchange = drawAll;
document.querySelectorAll("input[name=which]").forEach((input) => { input.onchange = look; });
one("#root").value = facts.cells[facts.start[0]].root;
sides.push(new Side("a", facts.start[0]), new Side("b", facts.start[1]));
drawAll();
