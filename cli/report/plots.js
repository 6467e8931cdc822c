'use strict';
// Plots as SVG: axes, curves, stacked bands, marks. Texts only ever become text nodes, so whatever a name holds is shown and never obeyed.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) node.setAttribute(name, value);
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A number for people: four significant digits, no exponent where it can be helped. */
function show(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}
const seconds = value => (value === null || !Number.isFinite(value) ? '–' : value >= 100 ? value.toFixed(0) + ' s' : value.toFixed(1) + ' s');
const count = value => Math.round(value).toLocaleString('en');

/** About `wanted` round numbers between the ends. */
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(times => times * power).find(size => size >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) found.push(Number((i * step).toPrecision(12)));
  return found;
}

// Scales: a value's place from 0 to 1, and where ticks stand.
function linear(low, high, label, wanted = 6) {
  return {label, place: value => (value - low) / (high - low || 1), value: place => low + place * (high - low), ticks: ticks(low, high, wanted), text: value => show(value)};
}
function logarithmic(low, high, label) {
  const decades = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * 1.0001; ++power) decades.push(10 ** power);
  if (decades.length < 3) {  // what lies between, after the decades: where there is no room it goes
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; ++power) decades.push(...[2, 5, 3].map(times => Number((times * 10 ** power).toPrecision(12))).filter(tick => tick >= low && tick <= high));
  }
  return {label, place: value => Math.log(Math.max(value, low) / low) / Math.log(high / low), ticks: decades, text: value => show(value)};
}
/** Linear within ± step, logarithmic outside: for values of both signs over several powers of ten. */
function signedLog(low, high, step, label) {
  const bend = value => Math.sign(value) * Math.log1p(Math.abs(value) / step);
  const marks = [0];  // the most wanted ones first
  for (let size = 10 ** Math.floor(Math.log10(Math.max(-low, high)) + 1e-9); size >= step * 0.9999; size /= 10) marks.push(size, -size);
  return {label, place: value => (bend(value) - bend(low)) / (bend(high) - bend(low)), ticks: marks.filter(mark => mark >= low && mark <= high), text: value => show(value)};
}
/** Rows with a name each, the first on top. */
function rows(names) {
  return {label: '', place: row => 1 - (row + 0.5) / names.length, ticks: names.map((_, row) => row), text: row => names[row], isRows: true};
}

/** The ticks that have `room` pixels between them; those that come first are kept. */
function spaced(scale, pixel, room) {
  const kept = [];
  for (const tick of scale.ticks) if (kept.every(other => Math.abs(pixel(other) - pixel(tick)) >= room)) kept.push(tick);
  return kept;
}

let clips = 0;

/** Over time all plots begin at the same place, so that one can look from one down to the next. */
const overTime = yScale => Object.assign(yScale, {isWide: true});

/** Axes in `host` and an area to draw in: {area, x(value), y(value), width, height, node, left, top}; pixels of a drawing as wide as the host. */
function frame(host, name, height, xScale, yScale) {
  const width = Math.max(300, host.clientWidth || 900);
  const left = yScale.isRows || yScale.isWide ? 100 : 64;
  const right = width - 14, top = 10, bottom = height - 40;
  const x = value => left + xScale.place(value) * (right - left);
  const y = value => bottom - yScale.place(value) * (bottom - top);
  const node = svg('svg', {class: 'plot', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': name});
  for (const tick of spaced(xScale, x, 44)) {
    node.append(svg('line', {class: 'grid', x1: x(tick), x2: x(tick), y1: top, y2: bottom}),
      svg('text', {x: x(tick), y: bottom + 16, 'text-anchor': 'middle'}, xScale.text(tick)));
  }
  for (const tick of spaced(yScale, y, 15)) {
    node.append(svg('line', {class: 'grid', x1: left, x2: right, y1: y(tick), y2: y(tick)}),
      svg('text', {x: left - 6, y: y(tick) + 4, 'text-anchor': 'end'}, yScale.text(tick)));
  }
  node.append(svg('line', {class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom}), svg('line', {class: 'axis', x1: left, x2: left, y1: top, y2: bottom}),
    svg('text', {x: (left + right) / 2, y: height - 6, 'text-anchor': 'middle'}, xScale.label));
  if (yScale.label) node.append(svg('text', {x: 12, y: (top + bottom) / 2, 'text-anchor': 'middle', transform: `rotate(-90 12 ${(top + bottom) / 2})`}, yScale.label));
  const clip = 'clip' + ++clips;
  node.append(svg('clipPath', {id: clip}, svg('rect', {x: left - 6, y: top - 6, width: right - left + 14, height: bottom - top + 11})));
  const area = svg('g', {'clip-path': `url(#${clip})`});
  node.append(area);
  host.append(node);
  return {node, area, x, y, left, right, top, bottom, width, xScale};
}

function empty(plot, words) {
  plot.node.append(svg('text', {class: 'empty', x: (plot.left + plot.right) / 2, y: (plot.top + plot.bottom) / 2, 'text-anchor': 'middle'}, words));
}

/** Calls found({x, y} in the drawing's pixels, event) as the pointer goes, found(null) when it leaves. */
function onPoint(plot, found, chosen) {
  const at = event => {
    const box = plot.node.getBoundingClientRect();
    const scale = plot.width / box.width;
    return {x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale};
  };
  plot.node.addEventListener('pointermove', event => found(at(event), event));
  plot.node.addEventListener('pointerleave', () => found(null));
  if (chosen) plot.node.addEventListener('click', event => chosen(at(event)));
}

/** The nearest of points [x, y, …] within `reach` pixels, or null. */
function nearest(points, at, reach) {
  let best = null, least = reach * reach;
  for (const point of points) {
    const distance = (point[0] - at.x) ** 2 + (point[1] - at.y) ** 2;
    if (distance < least) least = distance, best = point;
  }
  return best;
}

const path = points => 'M' + points.map(([x, y]) => x.toFixed(1) + ' ' + y.toFixed(1)).join('L');

/** One band of a stack: from `below` to `above` (slots), each from t[i] to t[i + 1], the last until `end`. */
function band(plot, t, below, above, end) {
  const top = [], bottom = [];
  for (let i = 0; i < t.length; ++i) {
    const from = plot.x(t[i]), to = plot.x(i + 1 < t.length ? t[i + 1] : end);
    if (above[i] === below[i] && (i === 0 || above[i - 1] === below[i - 1]) && (i + 1 === t.length || above[i + 1] === below[i + 1])) continue;
    top.push([from, plot.y(above[i])], [to, plot.y(above[i])]);
    bottom.push([from, plot.y(below[i])], [to, plot.y(below[i])]);
  }
  return top.length ? path(top.concat(bottom.reverse())) + 'Z' : '';
}

// --- what the pages have in common ---

const by = id => document.getElementById(id);

window.addEventListener('error', event => {
  by('trouble').textContent = 'Part of this page could not be drawn: ' + event.message;
  by('trouble').hidden = false;
});

const tip = by('tip');
function tell(event, words) {
  tip.hidden = !words;
  if (!words) return;
  tip.textContent = words;
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8)) + 'px';
  tip.style.top = (event.clientY + 18 + tip.offsetHeight > window.innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18) + 'px';
}

const tile = (what, value, more) => el('div', {class: 'tile'}, el('span', {}, what), el('b', {}, value), more ? el('span', {}, more) : null);
