"use strict";
// What networks are built from. A tensor is planes of pixels, one a channel, each filled up to whole
// vectors of four, in the memory of one WebAssembly function, which is put together here byte by
// byte: plain JavaScript takes about four times as long.

const ROWS = 8; // of weights that are multiplied at a time
const SCRATCH = 1 << 25; // bytes for what a network computes on its way
const memory = new WebAssembly.Memory({ initial: 1 });
let top = 64; // the first free byte

function assembled() {
  const get = (i) => [0x20, i], set = (i) => [0x21, i], tee = (i) => [0x22, i];
  const number = (n) => [0x41, ...(n < 64 ? [n] : [(n & 127) | 128, n >> 7])];
  const add = 0x6a, less = 0x49, vector = (code, ...rest) => [0xfd, code, ...rest];
  const load = vector(0x00, 2, 0), store = vector(0x0b, 2, 0), splat = (at) => vector(0x09, 2, at);
  const plus = vector(0xe4, 1), times = vector(0xe6, 1);
  const step = (i, by) => [...get(i), ...by, add, ...set(i)];
  const loop = (body, i, end) => [0x03, 0x40, ...body, ...get(i), ...get(end), less, 0x0d, 0, 0x0b];
  const rows = [...Array(ROWS).keys()];
  const [x, w, y, plane, terms, end, last, px, pw, py, value, sum] = Array(12).keys();
  // for each four pixels: sum[i] = bias[i] + Σ over k of w[k][i] · x[k]; w begins with the biases
  const code = [
    ...get(x), ...get(plane), add, ...set(end),
    ...get(w), ...get(terms), add, ...set(last),
    ...loop([
      ...get(x), ...set(px), ...get(w), ...set(pw), ...get(y), ...set(py),
      ...rows.flatMap((i) => [...get(pw), ...splat(4 * i), ...set(sum + i)]),
      ...loop([
        ...step(pw, number(4 * ROWS)),
        ...get(px), ...load, ...set(value), ...step(px, get(plane)),
        ...rows.flatMap((i) => [
          ...get(sum + i), ...get(pw), ...splat(4 * i), ...get(value), ...times, ...plus, ...set(sum + i),
        ]),
      ], pw, last),
      ...rows.flatMap((i) => [...get(py), ...get(sum + i), ...store, ...step(py, get(plane))]),
      ...step(y, number(16)), ...step(x, number(16)),
    ], x, end),
    0x0b,
  ];
  const sized = (bytes) => [(bytes.length & 127) | 128, bytes.length >> 7, ...bytes];
  const body = [2, 5, 0x7f, 1 + ROWS, 0x7b, ...code]; // five integers more, and the vectors
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, 9, 1, 0x60, 5, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0, // (i32 × 5) → nothing
    2, 8, 1, 1, 0x6d, 1, 0x6d, 2, 0, 0, // the memory m.m
    3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, // the function f
    10, ...sized([1, ...sized(body)]),
  ]);
}

const multiply = new WebAssembly.Instance(new WebAssembly.Module(assembled()), { m: { m: memory } }).exports.f;

const padded = (n, to) => Math.ceil(n / to) * to;

// Not while a network computes: memory that grows takes its tensors away.
function reserve(bytes) {
  const lacking = top + bytes - memory.buffer.byteLength;
  if (lacking > 0) memory.grow(padded(lacking, 1 << 16) >> 16);
}

// What is taken within `scratch` is free again afterwards, and may hold what was there before.
function take(floats) {
  const at = top;
  top += 4 * padded(floats, 4);
  if (top > memory.buffer.byteLength) throw new Error("a network needs more memory than this page has for it");
  return at;
}

function scratch(work) {
  const mark = top;
  try { return work(); } finally { top = mark; }
}

const floats = (at, n) => new Float32Array(memory.buffer, at, n);

function tensor(c, h, w = h) {
  const plane = padded(h * w, 4);
  const at = take(padded(c, ROWS) * plane);
  return { c, h, w, plane, at, data: floats(at, c * plane) };
}

function planes(values, c, h, w = h) {
  const x = tensor(c, h, w);
  for (let k = 0; k < c; k++) x.data.set(values.subarray(k * h * w, (k + 1) * h * w), k * x.plane);
  return x;
}

function flat(x) {
  const values = new Float32Array(x.c * x.h * x.w);
  for (let k = 0; k < x.c; k++) values.set(x.data.subarray(k * x.plane, k * x.plane + x.h * x.w), k * x.h * x.w);
  return values;
}

// Weights [out][in · kernel²], as they are on disk, in blocks of eight rows.
function packed({ data, shape }, bias) {
  const rows = shape[0], terms = data.length / rows, kernel = shape[2] ?? 1;
  const blocks = padded(rows, ROWS) / ROWS, size = ROWS * (terms + 1);
  const at = take(blocks * size), w = floats(at, blocks * size);
  for (let r = 0; r < rows; r++) {
    const own = Math.floor(r / ROWS) * size + (r % ROWS);
    w[own] = bias ? bias[r] : 0;
    for (let k = 0; k < terms; k++) w[own + ROWS * (k + 1)] = data[r * terms + k];
  }
  return { at, rows, terms, kernel, blocks, bytes: 4 * size };
}

function convolved(x, layer, stride = 1) {
  const h = Math.ceil(x.h / stride), w = Math.ceil(x.w / stride);
  const y = tensor(layer.rows, h, w);
  scratch(() => {
    const from = layer.kernel === 1 ? x : unfolded(x, layer.kernel, stride, h, w);
    const bytes = 4 * y.plane;
    for (let b = 0; b < layer.blocks; b++) {
      multiply(from.at, layer.at + b * layer.bytes, y.at + b * ROWS * bytes, bytes, layer.bytes - 4 * ROWS);
    }
  });
  return y;
}

// For each channel and place of a kernel the plane, moved by that place, zeros beyond its edge.
function unfolded(x, kernel, stride, h, w) {
  const pad = kernel >> 1, y = tensor(x.c * kernel * kernel, h, w), into = y.data;
  into.fill(0);
  for (let c = 0, at = 0; c < x.c; c++) {
    for (let a = -pad; a <= pad; a++) {
      for (let b = -pad; b <= pad; b++, at += y.plane) {
        const first = Math.max(0, Math.ceil(-b / stride)), end = Math.min(w, Math.ceil((x.w - b) / stride));
        for (let i = 0; i < h; i++) {
          const row = i * stride + a;
          if (row < 0 || row >= x.h) continue;
          let from = c * x.plane + row * x.w + first * stride + b;
          for (let j = first; j < end; j++, from += stride) into[at + i * w + j] = x.data[from];
        }
      }
    }
  }
  return y;
}

function linear(v, { data, shape: [rows, terms] }, bias) {
  const y = new Float32Array(rows);
  for (let r = 0, k = 0; r < rows; r++) {
    let sum = bias[r];
    for (let i = 0; i < terms; i++, k++) sum += data[k] * v[i];
    y[r] = sum;
  }
  return y;
}

const silu = (v) => v / (1 + Math.exp(-v));
const relu = (v) => (v > 0 ? v : 0);

function each(x, work) {
  const y = tensor(x.c, x.h, x.w);
  for (let i = 0; i < x.data.length; i++) y.data[i] = work(x.data[i]);
  return y;
}

function sum(x, y) {
  const z = tensor(x.c, x.h, x.w);
  for (let i = 0; i < x.data.length; i++) z.data[i] = x.data[i] + y.data[i];
  return z;
}

function joined(x, y) {
  const z = tensor(x.c + y.c, x.h, x.w);
  z.data.set(x.data);
  z.data.set(y.data, x.data.length);
  return z;
}

// GroupNorm of eight groups; `modulation` is a scale and a shift for each channel.
function normed(x, gain, bias, { modulation, activated } = {}) {
  const y = tensor(x.c, x.h, x.w), n = x.h * x.w, width = x.c / 8;
  for (let g = 0; g < 8; g++) {
    let mean = 0, square = 0;
    for (let c = g * width; c < (g + 1) * width; c++) for (let i = 0; i < n; i++) mean += x.data[c * x.plane + i];
    mean /= width * n;
    for (let c = g * width; c < (g + 1) * width; c++) {
      for (let i = 0; i < n; i++) square += (x.data[c * x.plane + i] - mean) ** 2;
    }
    const scale = 1 / Math.sqrt(square / (width * n) + 1e-5);
    for (let c = g * width; c < (g + 1) * width; c++) {
      let a = scale * gain[c], b = bias[c] - mean * a;
      if (modulation) {
        a *= 1 + modulation[c];
        b = b * (1 + modulation[c]) + modulation[x.c + c];
      }
      for (let i = c * x.plane; i < c * x.plane + n; i++) {
        const v = x.data[i] * a + b;
        y.data[i] = activated ? v / (1 + Math.exp(-v)) : v;
      }
    }
  }
  return y;
}

// Of queries, keys and values, (3 · c) planes of n places each; `allowed` of them may be looked at.
function attended(qkv, heads, allowed) {
  const c = qkv.c / 3, n = qkv.h * qkv.w, own = c / heads, p = new Float64Array(n);
  const y = tensor(c, qkv.h, qkv.w), { data, plane } = qkv;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < n; i++) {
      p.fill(0);
      for (let d = head * own; d < (head + 1) * own; d++) {
        const q = data[d * plane + i] / Math.sqrt(own), k = (c + d) * plane;
        for (let j = 0; j < allowed; j++) p[j] += q * data[k + j];
      }
      let most = -Infinity, total = 0;
      for (let j = 0; j < allowed; j++) most = Math.max(most, p[j]);
      for (let j = 0; j < allowed; j++) total += p[j] = Math.exp(p[j] - most);
      for (let d = head * own; d < (head + 1) * own; d++) {
        let mixed = 0;
        for (let j = 0; j < allowed; j++) mixed += p[j] * data[(2 * c + d) * plane + j];
        y.data[d * plane + i] = mixed / total;
      }
    }
  }
  return y;
}

// side × side pixels, each that of the place it falls to where places are `size` pixels wide.
function widened(x, side, size = 2) {
  const y = tensor(x.c, side);
  for (let c = 0; c < x.c; c++) {
    for (let i = 0; i < side; i++) {
      const row = c * x.plane + Math.floor(i / size) * x.w;
      for (let j = 0; j < side; j++) y.data[c * y.plane + i * side + j] = x.data[row + Math.floor(j / size)];
    }
  }
  return y;
}

// p × p pixels of a plane as p² channels, or back.
function folded(x, p, back) {
  if (p === 1) return x;
  const [coarse, fine] = back ? [x, tensor(x.c / p ** 2, x.h * p)] : [tensor(x.c * p ** 2, x.h / p), x];
  for (let c = 0; c < fine.c; c++) {
    for (let i = 0; i < fine.h; i++) {
      for (let j = 0; j < fine.h; j++) {
        const channel = c * p * p + (i % p) * p + (j % p);
        const there = channel * coarse.plane + Math.floor(i / p) * coarse.h + Math.floor(j / p);
        const here = c * fine.plane + i * fine.h + j;
        if (back) fine.data[here] = coarse.data[there];
        else coarse.data[there] = fine.data[here];
      }
    }
  }
  return back ? fine : coarse;
}

function pooled(x) {
  const y = tensor(x.c, x.h >> 1);
  for (let c = 0; c < x.c; c++) {
    for (let i = 0; i < y.h; i++) {
      for (let j = 0; j < y.h; j++) {
        const at = c * x.plane + 2 * i * x.h + 2 * j;
        y.data[c * y.plane + i * y.h + j] = Math.max(x.data[at], x.data[at + 1], x.data[at + x.h], x.data[at + x.h + 1]);
      }
    }
  }
  return y;
}
