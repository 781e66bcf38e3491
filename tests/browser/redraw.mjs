// Draws what every cell in the page has published, by the page's own script, without a browser.
import { readFileSync } from "node:fs";

const page = readFileSync(process.argv[2], "utf8");
const inner = (id) => page.match(new RegExp(`<script[^>]*id="${id}">([^]*?)</script>`))[1];
const unpack = page.match(/const unpacked = [^]*?\n};/)[0];
globalThis.document = { getElementById: (id) => ({ textContent: inner(id) }) };
globalThis.postMessage = () => {};
const { engine, taught, drawn, Judge, unpacked } = new Function(
  `${inner("engine")}\n${unpack}\nreturn { engine, taught, drawn, Judge, unpacked };`.replace("onmessage =", "globalThis.onmessage ="),
)();

const facts = JSON.parse(inner("facts"));
engine.judge = new Judge((await unpacked(facts.judge)).buffer);
for (const [name, { files, ...run }] of Object.entries(facts.runs)) {
  const lesson = { name, run };
  for (const [what, id] of Object.entries(files)) lesson[what] = (await unpacked(id)).buffer;
  taught(lesson);
}
const found = {};
for (const [name, { settings, root, prompts, images }] of Object.entries(facts.cells)) {
  const published = await unpacked(images), n = published.length / 784, own = { pixels: 784 * n, other: 0, most: 0, odds: [], evaluations: 0 };
  const started = performance.now();
  for (let index = 0; index < n; index++) {
    const free = facts.runs[settings.run].conditioning === "uncond" || settings.guidance === 0;
    let last;
    for await (const frame of drawn({ cell: settings, root, index, asked: free ? null : (prompts[index] ?? index % 10) })) last = frame;
    last.x.forEach((grey, i) => {
      const off = Math.abs(grey - published[784 * index + i]);
      own.other += off > 0;
      own.most = Math.max(own.most, off);
    });
    own.odds.push([...last.odds]);
    own.evaluations = last.evaluations;
  }
  found[name] = { ...own, milliseconds: (performance.now() - started) / n };
}
console.log(JSON.stringify(found));
