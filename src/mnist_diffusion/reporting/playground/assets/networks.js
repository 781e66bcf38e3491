// The networks, by the names that their weights have on disk.

// A file of safetensors: the header's length in eight bytes, the header in JSON, the numbers.
class Weights {
  constructor(bytes) {
    reserve(2 * bytes.byteLength + SCRATCH);
    const length = Number(new DataView(bytes).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
    this.named = {};
    for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
      if (dtype !== "F32") continue; // counts of batches
      this.named[name] = { shape, data: new Float32Array(bytes.slice(8 + length + start, 8 + length + end)) };
    }
    this.packed = {};
    for (const [name, { shape }] of Object.entries(this.named)) if (shape.length > 1) this.pack(name.slice(0, -7));
  }

  pack(name) {
    if (this.named[`${name}.weight`]) this.packed[name] = packed(this.named[`${name}.weight`], this.named[`${name}.bias`]?.data);
  }

  of(name) { return this.named[name].data; }

  conv(x, name, stride) { return convolved(x, this.packed[name], stride); }

  linear(v, name) { return linear(v, this.named[`${name}.weight`], this.of(`${name}.bias`)); }

  norm(x, name, how) { return normed(x, this.of(`${name}.weight`), this.of(`${name}.bias`), how); }

  block(x, name, condition) {
    const modulation = condition && this.linear(condition, `${name}.modulation`);
    const h = this.conv(this.norm(x, `${name}.norm1`, { activated: true }), `${name}.conv1`);
    const y = this.conv(this.norm(h, `${name}.norm2`, { activated: true, modulation }), `${name}.conv2`);
    return sum(this.packed[`${name}.skip`] ? this.conv(x, `${name}.skip`) : x, y);
  }
}

// Sines and cosines of a timestep, rounded where torch rounds.
function timeEmbedding(t, width) {
  const half = width / 2, y = new Float32Array(width);
  for (let i = 0; i < half; i++) {
    const rate = Math.fround(Math.exp(Math.fround(Math.fround(-Math.log(10000)) * Math.fround(i / half))));
    const angle = Math.fround(t * rate);
    y[i] = Math.cos(angle);
    y[half + i] = Math.sin(angle);
  }
  return y;
}

class UNet extends Weights {
  constructor(bytes, sizes) {
    super(bytes);
    this.sizes = { inputs: 1, vector: 0, ...sizes };
  }

  // What is asked for, a digit or a vector of a text encoder, null for nothing, as the network has it;
  // a student is told a guidance scale, too.
  wished(asked, scale) {
    const { vector, embedding } = this.sizes;
    if (vector) return asked ? this.linear(asked.map((v) => v * Math.sqrt(vector)), "wish") : this.of("nothing");
    const labels = this.of("label.weight"), row = asked ?? labels.length / embedding - 1;
    const wish = labels.subarray(row * embedding, (row + 1) * embedding);
    if (!this.student) return wish;
    const told = this.linear(timeEmbedding(Math.fround(100 * Math.fround(scale)), embedding), "scale");
    return wish.map((v, i) => v + told[i]);
  }

  get student() { return "scale.weight" in this.named; }

  // (inputs · side²) numbers at a timestep → as many.
  run(values, t, asked, scale) {
    const { channels, blocks, patch, inputs, heads, embedding } = this.sizes;
    const time = this.linear(this.linear(timeEmbedding(t, embedding), "time.0").map(silu), "time.2");
    const wish = this.wished(asked, scale), condition = time.map((v, i) => silu(v + wish[i]));
    return scratch(() => {
      let h = this.conv(folded(planes(values, inputs, Math.sqrt(values.length / inputs)), patch), "stem");
      const skips = [h];
      let layer = 0;
      channels.forEach((_, level) => {
        if (level) skips.push(h = this.conv(h, `down.${layer++}`, 2));
        for (let b = 0; b < blocks; b++) skips.push(h = this.block(h, `down.${layer++}`, condition));
      });
      h = this.block(h, "middle_in", condition);
      const mixed = attended(this.conv(this.norm(h, "attention.norm"), "attention.qkv"), heads, h.h * h.w);
      h = this.block(sum(h, this.conv(mixed, "attention.out")), "middle_out", condition);
      layer = 0;
      for (let level = channels.length - 1; level >= 0; level--) {
        for (let b = 0; b <= blocks; b++) h = this.block(joined(h, skips.pop()), `up.${layer++}`, condition);
        if (level) [h, layer] = [widened(h, skips.at(-1).h), layer + 1];
      }
      return flat(folded(this.conv(this.norm(h, "norm", { activated: true }), "out"), patch, true));
    });
  }
}

// The half of a codec that makes pixels of latent numbers.
class Decoder extends Weights {
  constructor(bytes, { latent, side }, scale) {
    super(bytes);
    Object.assign(this, { latent, side, scale });
  }

  run(values) {
    const n = this.side ** 2;
    const own = values.map((v, i) => v * this.scale.deviation[Math.floor(i / n)] + this.scale.mean[Math.floor(i / n)]);
    return scratch(() => {
      let h = this.conv(planes(own, this.latent, this.side), "decoder.0"), at = 1;
      if (this.side < 7) {
        h = this.conv(widened(this.block(h, "decoder.1"), 7, 7 / 4), "decoder.3");
        at = 4;
      }
      h = this.norm(this.block(h, `decoder.${at}`), `decoder.${at + 1}`, { activated: true });
      h = each(this.conv(widened(h, 14), `decoder.${at + 4}`), silu);
      return flat(folded(this.conv(h, `decoder.${at + 6}`), 2, true));
    });
  }
}

// erf within 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26).
function erf(v) {
  const t = 1 / (1 + 0.3275911 * Math.abs(v));
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(v) * (1 - tail * Math.exp(-v * v));
}

// Words to a unit vector, by a transformer over at most `length` tokens.
class Reader extends Weights {
  constructor(bytes, sizes, vocabulary) {
    super(bytes);
    Object.assign(this, sizes, { vocabulary: new Map(Object.entries(vocabulary)) });
  }

  words(text) {
    const spaced = text.toLowerCase().replaceAll(",", " , ").split(/\s+/);
    return spaced.map((word) => word.replace(/^[.;:!?"'()[\]]+|[.;:!?"'()[\]]+$/g, "")).filter(Boolean);
  }

  unknown(text) { return this.words(text).filter((word) => !this.vocabulary.has(word)); }

  // Tokens 1 and 2 are an unknown word and the end.
  run(text) {
    const tokens = [...this.words(text).slice(0, this.length - 1).map((word) => this.vocabulary.get(word) ?? 1), 2];
    const n = tokens.length, { width } = this;
    return scratch(() => {
      let h = tensor(width, 1, n);
      tokens.forEach((token, i) => {
        for (let c = 0; c < width; c++) {
          h.data[c * h.plane + i] = this.of("words.weight")[token * width + c] + this.of("places")[i * width + c];
        }
      });
      for (let layer = 0; layer < this.layers; layer++) {
        const own = (name) => `layers.${layer}.${name}`;
        const mixed = attended(this.conv(this.lined(h, own("norm1")), own("qkv")), this.heads, n);
        h = sum(h, this.conv(mixed, own("mix")));
        const wide = each(this.conv(this.lined(h, own("norm2")), own("widen")), (v) => (v * (1 + erf(v / Math.SQRT2))) / 2);
        h = sum(h, this.conv(wide, own("narrow")));
      }
      const last = this.lined(h, "norm");
      const mean = Float32Array.from({ length: width }, (_, c) => {
        return last.data.subarray(c * last.plane, c * last.plane + n).reduce((total, v) => total + v, 0) / n;
      });
      const vector = this.linear(mean, "out"), size = Math.hypot(...vector);
      return vector.map((v) => v / size);
    });
  }

  // LayerNorm: over the channels of each place.
  lined(x, name) {
    const y = tensor(x.c, x.h, x.w), gain = this.of(`${name}.weight`), bias = this.of(`${name}.bias`);
    for (let i = 0; i < x.w; i++) {
      let mean = 0, square = 0;
      for (let c = 0; c < x.c; c++) mean += x.data[c * x.plane + i] / x.c;
      for (let c = 0; c < x.c; c++) square += (x.data[c * x.plane + i] - mean) ** 2 / x.c;
      for (let c = 0; c < x.c; c++) {
        y.data[c * y.plane + i] = ((x.data[c * x.plane + i] - mean) / Math.sqrt(square + 1e-5)) * gain[c] + bias[c];
      }
    }
    return y;
  }
}

// How likely each digit is, to the judge.
class Judge extends Weights {
  constructor(bytes) {
    super(bytes);
    for (const i of [0, 1, 3, 4]) this.fold(`body.${i}.0`, `body.${i}.1`);
    this.fold("body.8", "body.9");
  }

  // A BatchNorm put into the layer before it.
  fold(name, norm) {
    const { shape, data } = this.named[`${name}.weight`], bias = this.named[`${name}.bias`]?.data;
    const [gain, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((what) => this.of(`${norm}.${what}`));
    const scale = gain.map((v, r) => v / Math.sqrt(variance[r] + 1e-5)), terms = data.length / shape[0];
    this.named[`${name}.weight`] = { shape, data: data.map((v, i) => v * scale[Math.floor(i / terms)]) };
    this.named[`${name}.bias`] = { data: scale.map((v, r) => ((bias?.[r] ?? 0) - mean[r]) * v + shift[r]) };
    this.pack(name);
  }

  run(pixels) {
    const features = scratch(() => {
      const layer = (x, i, stride) => each(this.conv(x, `body.${i}.0`, stride), relu);
      return flat(pooled(layer(layer(pooled(layer(layer(planes(pixels, 1, 28), 0, 2), 1)), 3), 4)));
    });
    const logits = this.linear(this.linear(features, "body.8").map(relu), "head.1");
    const most = Math.max(...logits), odds = logits.map((v) => Math.exp(v - most));
    const total = odds.reduce((all, v) => all + v, 0);
    return odds.map((v) => v / total);
  }
}
