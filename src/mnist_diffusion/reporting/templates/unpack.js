// The script of the charts comes deflated: unfold it, and run it.
const bytes = atob(document.getElementById("packed").textContent);
const packed = new Blob([Uint8Array.from(bytes, (one) => one.charCodeAt(0))]);
const unpacked = packed.stream().pipeThrough(new DecompressionStream("deflate"));
new Response(unpacked).text().then((text) => {
  const script = document.createElement("script");
  script.textContent = text;
  document.body.append(script);
});
