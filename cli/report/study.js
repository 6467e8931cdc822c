// The page of a study: what the document beside this script says (cli/report/study_document.h), drawn anew when the window's width changes.

const study = JSON.parse(by('data').textContent);
const {policies} = study;
const looksOf = i => `c${i % 8} s${Math.floor(i / 8) % 3}`;
const GROUP_COLOURS = ['c1', 'c4', 'c5'];
const GROUPS = ['the quarter of the jobs with the highest loss', 'the next quarter', 'the half with the lowest loss'];

function focusOn(i) {
  for (const node of document.querySelectorAll('.on')) node.classList.remove('on');
  document.body.classList.toggle('focusing', i !== null);
  if (i !== null) for (const node of document.querySelectorAll(`[data-policy="${i}"]`)) node.classList.add('on');
}

function legend() {
  policies.forEach((policy, i) => {
    const line = svg('svg', {width: 22, height: 12, 'aria-hidden': 'true'}, svg('line', {class: 'line ' + looksOf(i), x1: 0, x2: 22, y1: 6, y2: 6}));
    const chip = el('button', {type: 'button'}, line, policy.name);
    chip.addEventListener('pointerenter', () => focusOn(i));
    chip.addEventListener('pointerleave', () => focusOn(null));
    by('legend').append(chip);
  });
}

const say = (section, words) => (by(section).querySelector('.say').textContent = words);
const panelIn = section => {
  const panel = el('div', {class: 'panel'});
  by(section).querySelector('.panels').append(panel);
  return panel;
};
const ratio = (value, first) => (first > 0 ? ` (${(value / first).toFixed(2)})` : '');

function headline() {
  by('title').textContent = document.title = `Simulated policies: ${policies.map(policy => policy.name).join(', ')}`;
  by('lead').textContent = `${count(study.jobs)} jobs on ${count(study.slots)} worker slots, ${count(study.curves)} curves, ${count(study.seeds)} seed${study.seeds === 1 ? '' : 's'}`;
  const [first] = policies;
  by('headline').querySelector('.tiles').append(...policies.map(policy =>
    tile(policy.name, `${show(policy.means.loss_seconds_per_job, 3)}${policy === first ? '' : ratio(policy.means.loss_seconds_per_job, first.means.loss_seconds_per_job)}`,
      `loss-seconds a job; 90 % after ${seconds(policy.means.seconds_to_90)}, p99 completion ${seconds(policy.means.completion_p99)}`)));
  by('scenario').textContent = Object.entries(study.scenario).map(([key, value]) => `${key}: ${value}`).join(' · ');
}

function measures() {
  say('measures', `Means over the seeds; in brackets against ${policies[0].name}. Of jobs, what was never reached counts as their end. Times in seconds.`);
  const told = study.measures.filter(name => name !== 'jobs' && policies.some(policy => policy.means[name] !== 0));
  const body = told.map(name => el('tr', {}, el('td', {class: 'words'}, name.replaceAll('_', ' ')),
    ...policies.map((policy, i) => el('td', {}, show(policy.means[name]) + (i > 0 && !name.startsWith('round') ? ratio(policy.means[name], policies[0].means[name]) : '')))));
  by('measures').querySelector('.scroll').append(el('table', {}, el('thead', {}, el('tr', {}, el('th', {class: 'words'}, ''), ...policies.map(policy => el('th', {}, policy.name)))),
    el('tbody', {}, ...body)));
}

/** One line a policy: points of it [x, y] → the plot, with the nearest said where one points. */
function lines(section, name, xScale, yScale, pointsOf, words) {
  const plot = frame(panelIn(section), name, 340, xScale, overTime(yScale));
  const points = [];
  policies.forEach((policy, i) => {
    const curve = pointsOf(policy).map(([x, y]) => [plot.x(x), plot.y(y), i, x, y]);
    if (curve.length === 0) return;
    plot.area.append(svg('path', {class: `job line ${looksOf(i)}`, 'data-policy': i, d: path(curve)}));
    points.push(...curve);
  });
  if (points.length === 0) return empty(plot, 'nothing to show');
  onPoint(plot, (at, event) => {
    const found = at && nearest(points, at, 40);
    focusOn(found ? found[2] : null);
    tell(event, found && `${policies[found[2]].name}\n${words(found[3], found[4])}`);
  });
}

const longest = Math.max(1e-3, ...policies.flatMap(policy => policy.series.t));
const overAll = () => linear(0, longest, 'seconds', 9);
const largest = pick => Math.max(1e-9, ...policies.flatMap(pick));

/** Sorted values as the share of them that is at or below each. */
const shares = values => values.map((value, i) => [value, (i + 1) / values.length]);
function timesScale(pick, label, least = 0) {
  const all = policies.flatMap(pick).filter(value => value > 0);
  const low = Math.max(least, Math.min(...all)), high = Math.max(...all);
  return all.length > 0 && high > low ? logarithmic(low, high * 1.05, label) : linear(0, Math.max(1, high || 1), label);
}

function lossSeconds() {
  say('loss-seconds', 'The remaining normalised loss of a job summed over time, from its submission to its end, mean over all submitted jobs: a dot a seed, the bar their mean. Less is better.');
  const top = largest(policy => policy.loss_seconds) * 1.05;
  const plot = frame(panelIn('loss-seconds'), 'Loss-seconds per submitted job', 60 + 34 * Math.max(2, policies.length), linear(0, top, 'loss-seconds a job', 8),
    rows(policies.length > 1 ? policies.map(policy => policy.name) : [policies[0].name, '']));
  policies.forEach((policy, i) => {
    const y = plot.y(i), mean = policy.means.loss_seconds_per_job;
    plot.area.append(svg('rect', {class: `job band ${looksOf(i)}`, 'data-policy': i, x: plot.left, y: y - 8, width: Math.max(0, plot.x(mean) - plot.left), height: 16, opacity: 0.75}));
    for (const value of policy.loss_seconds) plot.area.append(svg('circle', {class: 'mark', cx: plot.x(value), cy: y, r: 3, fill: 'currentColor'}));
  });
}

function groups() {
  say('groups', `Whose the worker slots are, the jobs sorted by their normalised loss at each moment (SLAQ’s figure).`);
  by('groups').querySelector('.legend').replaceChildren(...GROUPS.map((words, group) =>
    el('span', {}, svg('svg', {width: 14, height: 12, 'aria-hidden': 'true'}, svg('rect', {class: `band ${GROUP_COLOURS[group]}`, width: 12, height: 12})), ' ', words)));
  const made = policies.map(() => panelIn('groups'));  // all of them first: how wide one is depends on the others
  policies.forEach((policy, at) => {
    const {t, high, middle, low} = policy.series, panel = made[at];
    panel.append(el('h3', {}, policy.name));
    const plot = frame(panel, `Slots by loss group under ${policy.name}`, 230, linear(0, longest, 'seconds', 5), overTime(linear(0, study.slots, 'worker slots', 5)));
    let below = t.map(() => 0);
    [high, middle, low].forEach((slots, group) => {
      const above = below.map((sum, i) => sum + slots[i]);
      plot.area.append(svg('path', {class: `band ${GROUP_COLOURS[group]}`, d: band(plot, t, below, above, t.at(-1) ?? 0)}));
      below = above;
    });
    if (t.length === 0) empty(plot, 'nothing to show');
    onPoint(plot, (at, event) => {
      if (!at || t.length === 0) return tell(event, null);
      const i = t.findLastIndex(begin => plot.x(begin) <= at.x);
      tell(event, i < 0 ? null : `${t[i].toFixed(0)} s\n${[high, middle, low].map((slots, group) => `${GROUPS[group]}: ${show(slots[i], 3)}`).join('\n')}`);
    });
  });
}

function draw() {
  for (const host of document.querySelectorAll('.panels')) host.replaceChildren();
  lossSeconds();
  say('loss', 'Mean over the jobs that are active at each moment (SLAQ’s measure: a job that starves in a long queue does not show; loss-seconds count it).');
  lines('loss', 'Average normalised loss', overAll(), linear(0, largest(policy => policy.series.loss) * 1.05, 'normalised loss', 5), policy => policy.series.t.map((t, i) => [t, policy.series.loss[i]]),
    (t, loss) => `${t.toFixed(0)} s: ${show(loss, 3)}`);
  say('to-90', 'The share of the jobs that had 90 % of their achievable loss reduction within so many seconds of their submission. Further left is better.');
  lines('to-90', 'Time to 90 %', timesScale(policy => policy.to_90, 'seconds from the submission'), linear(0, 1, 'share of the jobs', 5), policy => shares(policy.to_90),
    (t, share) => `${(100 * share).toFixed(0)} % within ${seconds(t)}`);
  groups();
  say('errors', 'The share of a round’s forecasts whose error, in parts of the job’s whole loss range, is at most so large. Further left is better. An oracle has a predictor too, and does not listen to it.');
  lines('errors', 'Prediction error', timesScale(policy => policy.prediction_errors, 'error, of the loss range', 1e-5), linear(0, 1, 'share of the forecasts', 5), policy => shares(policy.prediction_errors).filter(([x]) => x >= 1e-5),
    (error, share) => `${(100 * share).toFixed(0)} % within ${show(100 * error, 2)} % of the range`);
  say('tail', 'The share of the jobs that take longer than so many seconds from their submission to their end. Further left is better; on the right are the last ones.');
  const least = Math.min(0.5, 1 / Math.max(2, ...policies.map(policy => policy.completion.length)));
  lines('tail', 'Completion tail', timesScale(policy => policy.completion, 'seconds from the submission'), logarithmic(least, 1, 'share that takes longer'),
    policy => policy.completion.map((t, i) => [t, Math.max(least, 1 - i / policy.completion.length)]), (t, share) => `${show(100 * share, 2)} % take longer than ${seconds(t)}`);
  say('moves', 'Worker slots that went to another job, so far.');
  lines('moves', 'Moves', overAll(), linear(0, largest(policy => policy.series.moves) * 1.05, 'moves', 5), policy => policy.series.t.map((t, i) => [t, policy.series.moves[i]]), (t, moves) => `${t.toFixed(0)} s: ${count(moves)}`);
  say('price', 'What a slot costs at each moment, under the policies that have a price: the higher, the more the jobs would do with one more.');
  const prices = policies.flatMap(policy => policy.series.price).filter(price => price > 0);
  const priceScale = prices.length > 1 && Math.max(...prices) > Math.min(...prices) ? logarithmic(Math.min(...prices), Math.max(...prices) * 1.05, 'price') : linear(0, 1, 'price', 4);
  lines('price', 'Price', overAll(), priceScale, policy => policy.series.t.map((t, i) => [t, policy.series.price[i]]).filter(([, price]) => price > 0), (t, price) => `${t.toFixed(0)} s: ${show(price, 3)}`);
}

let drawnAt = document.documentElement.clientWidth;
legend();
headline();
measures();
draw();
window.addEventListener('resize', () => {
  if (document.documentElement.clientWidth === drawnAt) return;
  drawnAt = document.documentElement.clientWidth;
  draw();
});
document.body.dataset.drawn = 'yes';
