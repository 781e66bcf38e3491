"""Interactive charts as Vega-Lite specifications; the page carries the library that draws them."""
