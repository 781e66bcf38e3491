// Draws what it is asked for, one message a step; the page's own thread stays free.

const engine = { runs: {}, judge: null };

function taught({ name, run, betas, weights, codec, text }) {
  engine.runs[name] = {
    ...run,
    levels: schedule(new Float64Array(betas)),
    network: new UNet(weights, run.sizes),
    decoder: codec && new Decoder(codec, run.codec.sizes, run.codec.scale),
    reader: text && new Reader(text, run.text.sizes, run.text.vocabulary),
  };
}

const size = ({ decoder }) => (decoder ? decoder.latent * decoder.side ** 2 : 784);
const greys = (pixels) => Uint8Array.from(pixels, (v) => evenly(Math.fround(Math.min(1, Math.max(-1, v)) + 1) * 127.5));

// A guided, bounded denoiser of what is asked for, null for nothing, that counts its calls.
function denoiserOf(run, cell, asked, count) {
  const predict = (wanted) => (x, at) => {
    count();
    return PREDICTIONS[run.prediction](run.network.run(x, at.t, wanted, cell.guidance), x, at);
  };
  const wish = run.reader && asked !== null ? run.reader.run(asked) : asked;
  const free = run.network.student ? predict(wish) : guided(predict(wish), predict(null), cell);
  return (x, at) => BOUNDS[cell.x0_bound](free(x, at), cell.dynamic_quantile);
}

// Image `index` of a cell: for every step the state in grey levels, what the network takes it for,
// and the judge's odds of that; last, the image.
async function* drawn({ cell, root, index, asked }) {
  const run = engine.runs[cell.run];
  const start = await generator(root, "sample/start", index), fresh = await generator(root, "sample/steps", index);
  let evaluations = 0, x = start.normal(size(run)), k = 0;
  const denoise = denoiserOf(run, cell, asked, () => evaluations++);
  const visited = [...SPACINGS[cell.spacing](run.levels, cell.steps).map((t) => run.levels[t]), CLEAN];
  const pairs = visited.slice(1).map((there, step) => [visited[step], there]);
  const shown = (values) => (run.decoder ? run.decoder.run(values) : values);
  const frame = (x, x0, t) => ({ x: greys(x), x0: greys(x0), odds: engine.judge.run(x0), t, evaluations });
  for (const [next, x0] of SAMPLERS[cell.sampler](denoise, x, pairs, () => fresh.normal(size(run)), cell.eta)) {
    yield frame(shown(x), shown(x0), visited[k++].t);
    x = next;
  }
  x = shown(x);
  yield frame(x, x, CLEAN.t);
}

let wanted = 0; // the last of the page's wishes: an older one is given up

async function draw({ id, jobs }) {
  wanted = id;
  for (const job of jobs) {
    const started = performance.now(), strange = engine.runs[job.cell.run].reader?.unknown(job.asked ?? "") ?? [];
    let steps = 0;
    for await (const frame of drawn(job)) {
      const milliseconds = performance.now() - started, last = frame.t === CLEAN.t;
      postMessage({ id, index: job.index, milliseconds, last, strange, ...frame });
      if (last || ++steps % 16 === 0) await new Promise((resolve) => setTimeout(resolve)); // hear of newer ones
      if (wanted !== id) return;
    }
  }
}

globalThis.onunhandledrejection = ({ reason }) => { throw reason; }; // so that the page hears of it

onmessage = ({ data }) => {
  if (data.judge) engine.judge = new Judge(data.judge);
  else if (data.jobs) draw(data);
  else taught(data);
};
