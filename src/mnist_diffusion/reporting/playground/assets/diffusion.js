// Noise, levels, guidance and samplers, as src/mnist_diffusion/diffusion has them; its files cite.

// The stream of (root seed, purpose, index), whose numbers are those of torch's CPU generator.
async function generator(root, purpose, index) {
  const text = new TextEncoder().encode(`${root}/${purpose}/${index}`);
  const digest = new DataView(await crypto.subtle.digest("SHA-256", text));
  return new MersenneTwister(Number((digest.getBigUint64(0) >> 1n) & 0xffffffffn));
}

class MersenneTwister {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const last = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, last) + i;
    }
    this.at = 624;
  }

  next() {
    const s = this.state;
    if (this.at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
        s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.at = 0;
    }
    let y = s[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  // Standard normal numbers as torch.randn draws 16 and more: uniform ones, turned in pairs that
  // stand eight apart; a rest is drawn anew, as the last sixteen.
  normal(n) {
    const values = new Float32Array(n), uniform = () => (this.next() & 0xffffff) / 0x1000000;
    const turn = (at) => {
      for (let i = at; i < at + 8; i++) {
        const radius = Math.sqrt(-2 * Math.log(1 - values[i])), angle = 2 * Math.PI * values[i + 8];
        values[i] = radius * Math.cos(angle);
        values[i + 8] = radius * Math.sin(angle);
      }
    };
    for (let i = 0; i < n; i++) values[i] = uniform();
    for (let at = 0; at + 16 <= n; at += 16) turn(at);
    if (n % 16) {
      for (let i = n - 16; i < n; i++) values[i] = uniform();
      turn(n - 16);
    }
    return values;
  }
}

const CLEAN = { t: -1, alpha: 1, sigma: 0 };
const evenly = (v) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v)); // as numpy rounds

function schedule(betas) {
  let signal = 1;
  return Array.from(betas, (beta, t) => {
    signal *= 1 - beta;
    return { t, alpha: Math.sqrt(signal), sigma: Math.sqrt(1 - signal), lambda: Math.log(Math.sqrt(signal)) - Math.log(Math.sqrt(1 - signal)) };
  });
}

const SPACINGS = {
  trailing: (levels, n) => Array.from({ length: n }, (_, k) => evenly(levels.length - (k * levels.length) / n) - 1),
  leading: (levels, n) => Array.from({ length: n }, (_, k) => (n - 1 - k) * Math.floor(levels.length / n)),
  linspace: (levels, n) => Array.from({ length: n }, (_, k) => evenly(n > 1 ? (levels.length - 1) * (1 - k / (n - 1)) : levels.length - 1)),
  "log-snr": (levels, n) => {
    const last = levels.findLastIndex(({ alpha }) => alpha > 0);
    const start = last + 1 < levels.length ? [last + 1] : [], m = n - start.length;
    const near = Array.from({ length: m }, (_, k) => {
      const wanted = levels[last].lambda + (m > 1 ? ((levels[0].lambda - levels[last].lambda) * k) / (m - 1) : 0);
      let best = 0;
      for (let t = 1; t <= last; t++) if (Math.abs(levels[t].lambda - wanted) < Math.abs(levels[best].lambda - wanted)) best = t;
      return best;
    });
    let below = Infinity;
    return [...start, ...near].map((t, k) => Math.max((below = Math.min(below - 1, t)), n - 1 - k));
  },
};

// a · x + b · y
function blend(a, x, b, y) {
  const z = new Float32Array(x.length);
  for (let i = 0; i < z.length; i++) z[i] = a * x[i] + b * y[i];
  return z;
}

const PREDICTIONS = {
  epsilon: (output, x, { alpha, sigma }) => blend(1 / alpha, x, -sigma / alpha, output),
  x0: (output) => output,
  v: (output, x, { alpha, sigma }) => blend(alpha, x, -sigma, output),
};

const BOUNDS = {
  none: (x0) => x0,
  clip: (x0) => x0.map((v) => Math.min(1, Math.max(-1, v))),
  dynamic: (x0, quantile) => {
    const sizes = x0.map(Math.abs).sort(), place = quantile * (sizes.length - 1), low = Math.floor(place);
    const limit = Math.max(1, sizes[low] + (place - low) * ((sizes[low + 1] ?? sizes[low]) - sizes[low]));
    return x0.map((v) => Math.min(limit, Math.max(-limit, v)) / limit);
  },
};

function deviation(x) {
  const mean = x.reduce((all, v) => all + v, 0) / x.length;
  return Math.sqrt(x.reduce((all, v) => all + (v - mean) ** 2, 0) / (x.length - 1));
}

// Away from `guide`, by the cell's scale, where its interval of sigma / alpha has the level.
function guided(denoise, guide, cell) {
  const s = cell.guidance, [low, high] = cell.guidance_interval ?? [0, Infinity];
  if (s === 0) return guide;
  if (s === 1) return denoise;
  return (x, at) => {
    const plain = denoise(x, at), noise = at.sigma / at.alpha;
    if (noise < low || noise > high) return plain;
    const x0 = blend(1 - s, guide(x, at), s, plain);
    if (!cell.guidance_rescale) return x0;
    const contrast = deviation(x0), share = contrast > 0 ? deviation(plain) / contrast : 1;
    return x0.map((v) => v * (1 + cell.guidance_rescale * (share - 1)));
  };
}

const step = (x, x0, here, there) => blend(there.sigma / here.sigma, x, -there.alpha * Math.expm1(here.lambda - there.lambda), x0);

const ORDERS = [
  (x, [[x0]], here, there) => step(x, x0, here, there),
  (x, [[x0, now], [before, then]], here, there) => {
    const r = (now - then) / (there.lambda - now);
    return step(x, blend(1 + 1 / (2 * r), x0, -1 / (2 * r), before), here, there);
  },
  (x, [[x0, now], [x1, then], [x2, before]], here, there) => {
    const h = there.lambda - now, r0 = (now - then) / h, r1 = (then - before) / h;
    const slope0 = blend(1 / r0, x0, -1 / r0, x1), slope1 = blend(1 / r1, x1, -1 / r1, x2);
    const curve = blend(1 / (r0 + r1), slope0, -1 / (r0 + r1), slope1), slope = blend(1, slope0, r0, curve);
    const change = blend(1 + Math.expm1(-h) / h, slope, 1 - (2 * (Math.expm1(-h) + h)) / h ** 2, curve);
    return blend(1, step(x, x0, here, there), there.alpha, change);
  },
];

function* ancestral(denoise, x, levels, noise, eta, large) {
  for (const [here, there] of levels) {
    const x0 = denoise(x, here), beta = 1 - (here.alpha / there.alpha) ** 2;
    const kept = (here.alpha / there.alpha) * (there.sigma / here.sigma) ** 2;
    const spread = Math.sqrt(beta) * (large ? 1 : there.sigma / here.sigma);
    x = blend((there.alpha * beta) / here.sigma ** 2, x0, kept, x);
    if (there.sigma > 0) x = blend(1, x, eta * spread, noise());
    yield [x, x0];
  }
}

function* multistep(denoise, x, levels, order) {
  let past = [];
  for (const [here, there] of levels) {
    const x0 = denoise(x, here);
    past = [[x0, here.lambda], ...past].slice(0, order);
    x = there.sigma ? ORDERS[past.length - 1](x, past, here, there) : x0;
    yield [x, x0];
  }
}

// Each yields the state after a step, and the image that the step believed in.
const SAMPLERS = {
  ddpm: (denoise, x, levels, noise, eta) => ancestral(denoise, x, levels, noise, eta, false),
  "ddpm-large": (denoise, x, levels, noise, eta) => ancestral(denoise, x, levels, noise, eta, true),
  * ddim(denoise, x, levels, noise, eta) {
    for (const [here, there] of levels) {
      const x0 = denoise(x, here);
      const spread = (eta * Math.sqrt(1 - (here.alpha / there.alpha) ** 2) * there.sigma) / here.sigma;
      const along = Math.sqrt(Math.max(0, there.sigma ** 2 - spread ** 2));
      x = blend(there.alpha - (along * here.alpha) / here.sigma, x0, along / here.sigma, x);
      if (spread > 0) x = blend(1, x, spread, noise());
      yield [x, x0];
    }
  },
  "dpm-solver-1": (denoise, x, levels) => multistep(denoise, x, levels, 1),
  "dpm-solver-2": (denoise, x, levels) => multistep(denoise, x, levels, 2),
  "dpm-solver-3": (denoise, x, levels) => multistep(denoise, x, levels, 3),
  // Jumps to the clean image, and back into fresh noise of the next level.
  * consistency(denoise, x, levels, noise) {
    for (const [here, there] of levels) {
      const x0 = denoise(x, here);
      x = there.sigma ? blend(there.alpha, x0, there.sigma, noise()) : x0;
      yield [x, x0];
    }
  },
  * heun(denoise, x, levels) {
    for (const [here, there] of levels) {
      let x0 = denoise(x, here);
      if (there.sigma) {
        x0 = blend(0.5, x0, 0.5, denoise(step(x, x0, here, there), there));
        x = step(x, x0, here, there);
      } else x = x0;
      yield [x, x0];
    }
  },
};
