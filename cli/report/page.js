// The page: what the document beside this script says (cli/report/document.h), drawn anew when the window's width changes.

const data = JSON.parse(by('data').textContent);
const {runs, jobs: names} = data;
const several = runs.length > 1;
const longest = Math.max(1e-3, ...runs.map(run => Math.max(run.wall ?? 0, ...run.jobs.map(job => job.t.at(-1) ?? 0))));
const TIME = 'seconds since the first job’s submission';
const GAINED = 'more slots', LOST = 'fewer slots';

// --- which job is which ---

const nameOf = place => (place === null ? 'all other jobs' : names[place] || '(no name)');
const styles = new Map(data.coloured.map((place, i) => [place, {colour: i % 8, pattern: Math.floor(i / 8)}]));
function looks(place) {
  const style = styles.get(place);
  return style ? `c${style.colour} s${style.pattern}` : 'cx';
}

/** Hatches for the bands of the ninth job and further. */
function makePatterns() {
  const defs = svg('defs');
  for (let colour = 0; colour < 8; ++colour) {
    for (let pattern = 1; pattern < 3; ++pattern) {
      defs.append(svg('pattern', {id: `h${colour}-${pattern}`, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: `rotate(${pattern === 1 ? 45 : -45})`},
        svg('rect', {class: `band c${colour}`, width: 6, height: 6}), svg('line', {class: 'hatch', x1: 0, x2: 0, y1: 0, y2: 6})));
    }
  }
  by('patterns').append(defs);
}
function bandFill(place) {
  const style = styles.get(place);
  return style && style.pattern > 0 ? `url(#h${style.colour}-${style.pattern})` : null;
}

let pinned = null;
function focus(place) {
  const wanted = place ?? pinned;
  for (const node of document.querySelectorAll('.on')) node.classList.remove('on');
  document.body.classList.toggle('focusing', wanted !== null);
  if (wanted !== null) for (const node of document.querySelectorAll(`[data-job="${wanted}"]`)) node.classList.add('on');
}

function drawLegend() {
  const legend = by('legend');
  for (const place of data.coloured) {
    const line = svg('svg', {width: 22, height: 12, 'aria-hidden': 'true'}, svg('line', {class: 'line ' + looks(place), x1: 0, x2: 22, y1: 6, y2: 6}));
    const chip = el('button', {type: 'button', 'aria-pressed': 'false'}, line, nameOf(place));
    chip.addEventListener('pointerenter', () => focus(place));
    chip.addEventListener('pointerleave', () => focus(null));
    chip.addEventListener('click', () => {
      pinned = pinned === place ? null : place;
      for (const other of legend.querySelectorAll('button')) other.setAttribute('aria-pressed', String(other === chip && pinned !== null));
      focus(null);
    });
    legend.append(chip);
  }
  const others = names.length - data.coloured.length;
  if (others > 0) legend.append(el('span', {}, `and ${count(others)} more in grey: the colours are for those that had most slot-seconds`));
}

// --- words on top ---

const stateOf = (run, state) => run.jobs.filter(job => job.state === state).length;
function states(run) {
  const found = [...new Set(run.jobs.map(job => job.state))].sort((a, b) => ['done', 'failed'].includes(b) - ['done', 'failed'].includes(a) || a.localeCompare(b));
  return found.map(state => `${count(stateOf(run, state))} ${state}`).join(', ') || 'none';
}
/** What tells a run from the others: its policy, with its folder's name where two have the same. */
function called(run) {
  const alike = runs.filter(other => other.policy === run.policy).length > 1;
  return alike ? `${run.policy} ${run.folder.replace(/\/+$/, '').split('/').at(-1)}` : run.policy;
}
const label = run => [run.policy, ' ', el('small', {}, run.folder)];

function headline() {
  const [run] = runs;
  const title = several ? `${runs.length} runs of Sluice side by side` : `A run of Sluice: ${run.policy}, ${count(run.jobs.length)} job${run.jobs.length === 1 ? '' : 's'}`;
  by('title').textContent = document.title = title;
  by('lead').textContent = several ? runs.map(one => `${one.policy}: ${one.folder}`).join(' · ') : run.folder;
  for (const one of runs) {
    const tiles = el('div', {class: 'tiles'},
      tile('policy', one.policy, `${count(one.slots)} worker slot${one.slots === 1 ? '' : 's'}${one.servers ? `, ${one.servers} server${one.servers === 1 ? '' : 's'}` : ''}`),
      tile('wall time', seconds(one.wall), one.ended ? null : 'the run did not come to an end, or goes on'),
      tile('jobs', count(one.jobs.length), states(one)),
      tile('mean time to 90\u00a0%', seconds(one.seconds_to_90), one.reached === one.jobs.length ? 'reached by all' : `reached by ${count(one.reached)} of ${count(one.jobs.length)}; else the run’s end counts`),
      tile('mean time to 95\u00a0%', seconds(one.seconds_to_95), one.reached_95 === one.jobs.length ? 'reached by all' : `reached by ${count(one.reached_95)} of ${count(one.jobs.length)}`),
      one.worst ? tile('worst job', nameOf(one.worst.job), `${seconds(one.worst.seconds)} to 90 %${one.worst.reached ? '' : ', never reached'}`) : null,
      tile('moves', count(one.moves?.count ?? one.moves_total), one.moves ? `${show(one.moves.p50_ms, 3)} ms at the median, ${show(one.moves.p99_ms, 3)} at p99` : null),
      tile('rounds', one.rounds ? count(one.rounds.count) : '–', `${count(one.decisions_total)} changed something${one.rounds ? `; ${show(one.rounds.p99_ms, 2)} ms at p99` : ''}`),
      one.loss_seconds === null || data.comparison ? null : tile('loss-seconds a job', show(one.loss_seconds, 3), 'remaining normalised loss, summed over time'));
    by('headline').append(...(several ? [el('h3', {}, ...label(one))] : []), tiles);
  }
  const notes = runs.flatMap(one => [...one.notes, ...one.problems.map(problem => `${one.folder}: reported during the run: ${problem}`)]);
  for (const one of runs) if (!one.ended) notes.push(`${one.folder}: no end yet, so its jobs are measured against their best losses so far`);
  if (data.not_compared) notes.push('The runs are not compared, and each is measured against its own best losses: ' + data.not_compared);
  by('notes').hidden = notes.length === 0;
  by('notes').querySelector('ul').append(...notes.map(note => el('li', {}, note)));
}

const change = (value, first) => (first > 0 ? ` (${value <= first ? '−' : '+'}${Math.abs((value / first - 1) * 100).toFixed(0)} %)` : '');

function comparison() {
  const compared = data.comparison;
  by('comparison').hidden = !compared;
  if (!compared) return;
  const total = (what, key) => el('tr', {}, el('td', {class: 'words'}, what), ...compared.runs.map((run, i) => el('td', {}, seconds(run[key]) + (i > 0 ? change(run[key], compared.runs[0][key]) : ''))));
  const heads = (what, i) => el('th', {}, what, el('br'), called(runs[i]));
  const score = (job, i) => runs[i].jobs.find(one => nameOf(one.job) === job.job)?.score_text ?? '–';
  const worst = compared.runs.map((_, i) => compared.jobs.reduce((most, job) => (job.runs[i].seconds_to_90 > (most?.runs[i].seconds_to_90 ?? -1) ? job : most), null));
  by('comparison').querySelector('div').append(
    el('p', {class: 'say'}, 'As ', el('code', {}, 'sluice compare'), ' measures: each job from its submission, against the best smoothed loss that any of the runs reached. What was never reached counts as the run’s end (* of times to 90 %).'),
    el('table', {}, el('thead', {}, el('tr', {}, el('th', {class: 'words'}, ''), ...runs.map(run => el('th', {}, called(run))))),
      el('tbody', {}, total('mean time to 90 %', 'seconds_to_90_mean'), total('mean time to 95 %', 'seconds_to_95_mean'), total('worst time to 90 %', 'seconds_to_90_worst'),
        el('tr', {}, el('td', {class: 'words'}, 'worst job'), ...worst.map(job => el('td', {}, job ? job.job : '–'))),
        total('mean loss-seconds a job', 'loss_seconds_per_job'), total('wall time', 'wall_seconds'),
        ...compared.groups.flatMap(group => [['to 90 %', 'seconds_to_90'], ['to 95 %', 'seconds_to_95'], ['loss-seconds', 'loss_seconds']].map(([what, key]) =>
          el('tr', {}, el('td', {class: 'words'}, `best of group ${group.group}, ${what}`), ...group.runs.map((run, i) =>
            el('td', {}, seconds(run[key]) + (key === 'seconds_to_90' && !run.reached ? '*' : '') + (i > 0 ? change(run[key], group.runs[0][key]) : '')))))))),
    el('h3', {}, 'Job by job'),
    el('div', {class: 'scroll'}, el('table', {}, el('thead', {}, el('tr', {}, el('th', {class: 'words'}, 'job'), el('th', {}, 'first loss'), el('th', {}, 'best loss'),
      ...runs.map((_, i) => heads('to 90 %', i)), ...runs.map((_, i) => heads('to 95 %', i)), ...runs.map((_, i) => heads('held out', i)))),
      el('tbody', {}, ...compared.jobs.map(job => {
        const shown = job.runs.map(run => seconds(run.seconds_to_90)), least = seconds(Math.min(...job.runs.map(run => run.seconds_to_90)));
        const differ = shown.some(text => text !== least);  // as far as one sees
        return el('tr', {}, el('td', {class: 'name'}, job.job), el('td', {}, show(job.first_loss)), el('td', {}, show(job.best_loss)),
          ...job.runs.map((run, i) => el('td', {class: differ && run.reached && shown[i] === least ? 'best' : ''}, shown[i] + (run.reached ? '' : '*'))),
          ...job.runs.map(run => el('td', {}, seconds(run.seconds_to_95))), ...job.runs.map((_, i) => el('td', {}, score(job, i))));
      })))));
}

// --- plots ---

function panels(section, draw) {
  const host = by(section).querySelector('.panels');
  host.replaceChildren();
  const made = runs.map(run => el('div', {class: 'panel'}, several ? el('h3', {}, ...label(run)) : null));
  host.append(...made);  // all of them first: how wide one is depends on the others
  runs.forEach((run, i) => draw(run, made[i]));
}

function drawLosses(run, panel) {
  const isLog = by('log').checked, low = 0.003;
  const top = Math.min(1.6, Math.max(1.05, ...run.jobs.flatMap(job => job.q)));
  const y = isLog ? logarithmic(low, Math.max(1.05, top), 'remaining normalised loss') : linear(0, top, 'remaining normalised loss', 5);
  const plot = frame(panel, `Loss curves of ${run.policy}`, several ? 320 : 380, linear(0, longest, TIME, several ? 5 : 9), overTime(y));
  const points = [];
  const greyFirst = [...run.jobs].sort((a, b) => styles.has(a.job) - styles.has(b.job));
  for (const job of greyFirst) {
    if (job.t.length === 0) continue;
    const curve = job.t.map((t, i) => [plot.x(t), plot.y(job.q[i]), job, i]);
    plot.area.append(svg('path', {class: `job line ${looks(job.job)}`, 'data-job': job.job, d: path(curve.length > 1 ? curve : [curve[0], [curve[0][0] + 2, curve[0][1]]])}));
    const [endX, endY] = curve.at(-1);
    if (job.state === 'failed') plot.area.append(svg('path', {class: `job cross ${looks(job.job)}`, 'data-job': job.job, d: `M${endX - 5} ${endY - 5}l10 10m0 -10l-10 10`}));
    else if (styles.has(job.job)) plot.area.append(svg('circle', {class: `job mark ${looks(job.job)}`, 'data-job': job.job, cx: endX, cy: endY, r: 3}));
    points.push(...curve);
  }
  if (points.length === 0) empty(plot, 'no loss was reported');
  onPoint(plot, (at, event) => {
    const found = at && nearest(points, at, 40);
    focus(found ? found[2].job : null);
    if (!found) return tell(event, null);
    const [, , job, i] = found;
    const [first, best] = job.reference;
    tell(event, `${nameOf(job.job)}\n${job.t[i].toFixed(2)} s: ${show(job.q[i], 3)} of its improvement left` + (first > best ? `\nloss ${show(best + job.q[i] * (first - best))}` : ''));
  });
}

/** The best of each group over time, as steps in the colour of whose it was. */
function drawGroups(run, panel) {
  const end = run.wall ?? longest, top = Math.min(1.6, Math.max(1.05, ...run.groups.flatMap(group => group.q)));
  const plot = frame(panel, `Groups of ${run.policy}`, several ? 280 : 320, linear(0, longest, TIME, several ? 5 : 9), overTime(linear(0, top, 'left of the best’s improvement', 5)));
  const points = [];
  for (const group of run.groups) {
    group.t.forEach((t, i) => {
      const next = group.t[i + 1] ?? Math.max(end, t), lower = group.q[i + 1] ?? group.q[i], place = group.leader[i];
      const corner = [plot.x(t), plot.y(group.q[i])];
      plot.area.append(svg('path', {class: `job line ${looks(place)}`, 'data-job': place, d: path([corner, [plot.x(next), corner[1]], [plot.x(next), plot.y(lower)]])}));
      points.push([...corner, group, i]);
    });
  }
  if (points.length === 0) empty(plot, 'no loss was reported');
  onPoint(plot, (at, event) => {
    const found = at && nearest(points, at, 40);
    focus(found ? found[2].leader[found[3]] : null);
    if (!found) return tell(event, null);
    const [, , group, i] = found;
    tell(event, `group ${group.group}: ${nameOf(group.leader[i])} leads\n${group.t[i].toFixed(2)} s: ${show(group.q[i], 3)} of the group’s improvement left` +
      (group.first > group.best ? `\nloss ${show(group.best + group.q[i] * (group.first - group.best))}` : ''));
  });
}

/** Who led each group at the end, and when its best was there. */
function groupTables() {
  by('groups').hidden = !runs.some(run => run.groups.length > 0);
  const led = group => new Set(group.leader.filter(place => place !== null)).size;
  const line = group => el('tr', {}, el('td', {class: 'name'}, group.group), el('td', {}, count(group.members)), el('td', {class: 'words'}, group.leader.length ? nameOf(group.leader.at(-1)) : '–'),
    el('td', {}, count(led(group))), el('td', {}, show(group.first)), el('td', {}, show(group.best)), el('td', {}, seconds(group.seconds_to_90)), el('td', {}, seconds(group.seconds_to_95)),
    el('td', {}, show(group.loss_seconds, 3)));
  const heads = ['group', 'jobs', 'leads at the end', 'have led', 'first loss', 'best loss', 'to 90 %', 'to 95 %', 'loss-seconds'];
  by('groups').querySelector('.tables').append(...runs.filter(run => run.groups.length > 0).flatMap(run => [several ? el('h3', {}, ...label(run)) : null,
    el('div', {class: 'scroll'}, el('table', {}, el('thead', {}, el('tr', {}, ...heads.map((head, i) => el('th', {class: i === 0 || i === 2 ? 'words' : ''}, head)))), el('tbody', {}, ...run.groups.map(line))))]).filter(Boolean));
}

function drawSlots(run, panel) {
  const {t, jobs, n} = run.bands;
  const most = Math.max(1, run.slots);
  const plot = frame(panel, `Worker slots of ${run.policy}`, several ? 240 : 280, linear(0, longest, TIME, several ? 5 : 9), overTime(linear(0, most, 'worker slots', Math.min(most, 6))));
  let below = t.map(() => 0);
  jobs.forEach((place, band_) => {
    const above = below.map((slots, i) => slots + n[band_][i]);
    const shape = svg('path', {class: `job band ${looks(place)}`, 'data-job': place ?? 'others', d: band(plot, t, below, above, Math.max(run.wall ?? 0, t.at(-1)))});
    const hatch = bandFill(place);
    if (hatch) shape.style.fill = hatch;
    plot.area.append(shape);
    below = above;
  });
  if (t.length === 0) empty(plot, 'no worker slot was given to a job');
  onPoint(plot, (at, event) => {
    if (!at || t.length === 0 || at.x < plot.x(t[0]) || at.x > plot.right) return tell(event, null);
    const time = plot.xScale.value((at.x - plot.left) / (plot.right - plot.left));
    const i = t.findLastIndex(begin => begin <= time);
    if (i < 0) return tell(event, null);
    const held = jobs.map((place, b) => [place, n[b][i]]).filter(([, slots]) => slots > 0).sort((a, b) => b[1] - a[1]);
    const lines = held.slice(0, 12).map(([place, slots]) => `${nameOf(place)}: ${show(slots, 3)}`);
    tell(event, [`${time.toFixed(2)} s`, ...lines, ...(held.length > 12 ? [`and ${held.length - 12} more`] : []), ...(held.length ? [] : ['all idle'])].join('\n'));
  });
}

function drawDecisions(run, panel) {
  const changes = run.decisions.flatMap(decision => decision.changes.map(one => ({decision, one})));
  const totals = new Map();
  for (const {one} of changes) totals.set(one.reason, (totals.get(one.reason) ?? 0) + 1);
  const reasons = [...totals.keys()].sort((a, b) => totals.get(b) - totals.get(a)).slice(0, 20);
  const plot = frame(panel, `Decisions of ${run.policy}`, 60 + 36 * Math.max(2, reasons.length), linear(0, longest, TIME, several ? 5 : 9),
    rows(reasons.length ? reasons.map(reason => reason.replaceAll('_', ' ')).map(reason => (reason.length > 15 ? reason.slice(0, 14) + '…' : reason)) : ['', '']));
  const size = changes.length > 1200 ? 2.6 : changes.length > 300 ? 3.4 : 4.4;
  const points = [];
  const tall = (plot.bottom - plot.top) / Math.max(2, reasons.length);
  for (const {decision, one} of changes) {
    const row = reasons.indexOf(one.reason);
    if (row < 0) continue;
    const lane = names.length > 1 ? one.job / (names.length - 1) - 0.5 : 0;
    const x = plot.x(decision.t), y = plot.y(row) + lane * tall * 0.68;
    const up = one.after > one.before;
    const mark = svg('path', {class: `job mark ${up ? '' : 'lost '}${looks(one.job)}`, 'data-job': one.job,
      d: up ? `M${(x - size).toFixed(1)} ${(y + size).toFixed(1)}h${2 * size}l${-size} ${-2 * size}z` : `M${(x - size).toFixed(1)} ${(y - size).toFixed(1)}h${2 * size}l${-size} ${2 * size}z`});
    plot.area.append(mark);
    points.push([x, y, decision, one, mark]);
  }
  if (points.length === 0) return empty(plot, 'nothing was decided');
  const why = el('div', {class: 'why'});
  panel.append(why);
  let chosen = 0;
  const choose = place => {
    chosen = Math.max(0, Math.min(run.decisions.length - 1, place));
    for (const [, , decision, , mark] of points) mark.classList.toggle('chosen', decision === run.decisions[chosen]);
    explain(why, run.decisions[chosen], step => choose(chosen + step));
  };
  choose(Math.max(0, run.decisions.findIndex(decision => decision.moved?.length && decision.outcomes?.length)));
  onPoint(plot, (at, event) => {
    const found = at && nearest(points, at, 16);
    focus(found ? found[3].job : null);
    if (!found) return tell(event, null);
    const [, , decision, one] = found;
    tell(event, `${decision.t.toFixed(2)} s: ${nameOf(one.job)} ${one.before} → ${one.after} slots\n${one.sentence}\n(click for all of decision ${decision.id})`);
  }, at => {
    const found = nearest(points, at, 16);
    if (found) choose(run.decisions.indexOf(found[2]));
  });
}

/** All that is known of a decision: why, what was refused, what it cost, what came of it. */
function explain(host, decision, go) {
  const step = (words, by_) => {
    const button = el('button', {type: 'button', class: 'step'}, words);
    button.addEventListener('click', () => go(by_));
    return button;
  };
  const list = (title, entries, line) => (entries && entries.length ? [el('h4', {}, title), el('ul', {}, ...entries.map(entry => el('li', {}, ...line(entry))))] : []);
  const more = decision.changes_total - decision.changes.length;
  host.replaceChildren(
    el('nav', {}, el('strong', {}, `Decision ${decision.id} at ${decision.t.toFixed(2)} s (${decision.trigger})`), step('← earlier', -1), step('later →', 1)),
    el('ul', {}, ...decision.changes.map(one => el('li', {}, el('b', {}, nameOf(one.job)), ` ${one.before} → ${one.after} slots, ${one.reason.replaceAll('_', ' ')}: ${one.sentence}`,
      el('small', {}, [one.loss > 0 ? `loss ${show(one.loss)}, ${show(one.remaining, 3)} of its improvement left` : 'no loss reported yet',
        one.with > 0 || one.without > 0 ? `predicted drop of the loss ${show(one.with, 3)} with the change, ${show(one.without, 3)} without` : 'no drop predicted',
        ...(one.refused.length ? ['next in line: ' + one.refused.map(other => `${nameOf(other.job)} (${other.reason.replaceAll('_', ' ')})`).join(', ')] : [])].join('; ')))),
      more > 0 ? el('li', {}, `and ${count(more)} more jobs`) : null),
    ...list(`Refused${decision.refused_total > decision.refused.length ? ` (${decision.refused.length} of ${count(decision.refused_total)})` : ''}`, decision.refused,
      other => [el('b', {}, nameOf(other.job)), ` ${other.reason.replaceAll('_', ' ')}: ${other.sentence}`]),
    ...list('What it cost', decision.moved, move => [el('b', {}, nameOf(move.job)),
      ` computed on slot ${move.slot} of ${move.worker} ${show(move.total_ms, 3)} ms after the decision (${show(move.wait_ms, 3)} ms for a batch to end, ${show(move.stall_ms, 3)} ms idle${move.cold ? '; its data was not there yet' : ''})`]),
    ...list('What came of it', decision.outcomes, one => [el('b', {}, nameOf(one.job)),
      ` over ${count(one.steps)} steps: predicted drop ${show(one.predicted, 3)}, actual ${show(one.actual, 3)}`]));
}

function drawOutcomes(run, panel) {
  const {points: found, total, unpredicted, at_least, median_predicted, median_actual} = run.outcomes;
  const plot = frame(panel, `Predicted and actual drop of ${run.policy}`, 380, signedLog(0, 1, 0.001, 'predicted drop'), signedLog(-1, 1, 0.001, 'actual drop'));
  const clamp = value => Math.max(-1, Math.min(1, value));
  plot.area.append(svg('line', {class: 'axis', x1: plot.x(0), x2: plot.x(1), y1: plot.y(0), y2: plot.y(0)}),
    svg('line', {class: 'level', x1: plot.x(0), x2: plot.x(1), y1: plot.y(0), y2: plot.y(1)}));
  const points = found.map(point => [plot.x(clamp(point[1])), plot.y(clamp(point[2])), point]);
  for (const [cx, cy, point] of points) plot.area.append(svg('circle', {class: `job dot ${looks(point[0])}`, 'data-job': point[0], cx: cx.toFixed(1), cy: cy.toFixed(1), r: 3.2}));
  if (points.length === 0) empty(plot, 'no prediction was checked');
  panel.append(el('p', {class: 'say'}, total ? `${count(at_least)} of ${count(total)} predictions were reached or surpassed; at the median ${show(median_predicted, 3)} was predicted and ${show(median_actual, 3)} came. ` : '',
    unpredicted ? `${count(unpredicted)} more had no predicted drop, or are of jobs that never got better.` : '', points.length < total ? ` ${count(points.length)} are drawn, evenly chosen.` : ''));
  onPoint(plot, (at, event) => {
    const near = at && nearest(points, at, 16);
    focus(near ? near[2][0] : null);
    tell(event, near ? `${nameOf(near[2][0])}, decision ${near[2][3]}\npredicted ${show(near[2][1], 3)}, actual ${show(near[2][2], 3)}` : null);
  });
}

function sayings() {
  const say = (section, words) => (by(section).querySelector('.say').textContent = words);
  const thinned = runs.some(run => run.jobs.some(job => job.t.length < job.points));
  say('losses', `What is left of each job’s improvement: 1 at its first loss, 0 at the best smoothed loss that ${data.comparison ? 'any of the runs' : 'it'} reached. A curve begins with the job’s first report and leaves the plot where the loss is far above the first; × is a failed job.` +
    (thinned ? ' Curves are thinned: the points that shape them are kept.' : ''));
  say('groups', `Of each group the best smoothed loss that any of its jobs had so far, in the colour of the job that had it: what is left of it, against the best that ${data.comparison ? 'any of the runs' : 'the group'} reached. Times are from the first job’s submission.`);
  const means = runs.some(run => !run.bands.exact);
  say('slots', 'Which jobs had the worker slots. What stays empty was idle.' + (means ? ' There were too many changes to draw each: these are means over a thousandth of the time.' : '') +
    (names.length > data.coloured.length ? ' Grey is all other jobs together.' : ''));
  say('decisions', `Each change of a job’s worker slots, by its reason: filled upwards is ${GAINED}, hollow downwards is ${LOST}. Point at one to see why, click for all of it.` +
    runs.filter(run => run.decisions.length < run.decisions_total).map(run => ` Of ${run.policy}’s ${count(run.decisions_total)} decisions ${count(run.decisions.length)} are here, evenly chosen; decisions.jsonl has all.`).join(''));
  say('outcomes', 'How far the loss was predicted to fall until a later round, and how far it fell, in parts of the job’s whole improvement (linear up to 0.001, then logarithmic). On the dashed line they agree; above it more came than was predicted.');
}

// --- the table ---

const known = write => value => (value === null ? '–' : write(value));
const columns = [  // what is looked for first, first: a narrow window shows fewer
  ['job', job => nameOf(job.job), 'name'], ['state', job => job.state, 'words'], ['held out', job => job.score, ''], ['to 90 %', job => job.seconds_to_90, '', seconds], ['to 95 %', job => job.seconds_to_95, '', seconds],
  ['slot-seconds', job => job.slot_seconds, '', known(value => value.toFixed(1))], ['moves', job => job.moves, '', known(count)],
  ['steps', job => job.steps, '', known(count)], ...(runs.some(run => run.jobs.some(job => job.declared > 0)) ? [['declared steps', job => job.declared, '', known(count)]] : []),
  ['first loss', job => job.first, '', show], ['final loss', job => job.final, '', show], ['held-out loss', job => job.validation, '', show],
  ...(runs.some(run => run.jobs.some(job => job.redone > 0)) ? [['redone batches', job => job.redone, '', known(count)]] : []),
  ['submitted', job => job.submitted, '', seconds], ['model', job => job.model, 'words'], ['reason', job => job.reason, 'words reason'],
];
function cell(job, [title, value, kind, text], scores) {
  if (title === 'held out') return el('td', {}, (scores.length > 1 && job.score_name ? job.score_name + ' ' : '') + job.score_text);
  return el('td', {class: kind}, text ? text(value(job)) : value(job));
}

function drawTable(run, host) {
  const scores = [...new Set(run.jobs.map(job => job.score_name).filter(Boolean))];
  const body = el('tbody');
  const heads = columns.map(([title, , kind], i) => {
    const button = el('button', {type: 'button'}, title === 'held out' && scores.length === 1 ? `held-out ${scores[0]}` : title);
    const head = el('th', {class: kind ? 'words' : '', scope: 'col'}, button);
    button.addEventListener('click', () => {
      const descending = head.getAttribute('aria-sort') === 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      write(i, descending ? -1 : 1);
    });
    return head;
  });
  const line = job => el('tr', {class: [job.state === 'failed' ? 'failed' : '', run.worst?.job === job.job ? 'worst' : ''].join(' ').trim()},
    ...columns.map(column => cell(job, column, scores)));
  const write = (column, direction) => {
    const wanted = by('filter').value.trim().toLowerCase();
    const shown = run.jobs.filter(job => !wanted || [nameOf(job.job), job.model, job.state].some(text => text.toLowerCase().includes(wanted)));
    if (column !== null) {
      const value = columns[column][1];
      shown.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return direction * (typeof x === 'string' ? x.localeCompare(y, 'en', {numeric: true}) : x - y);
      });
    }
    body.replaceChildren(...shown.map(line));
  };
  write(null, 1);
  by('filter').addEventListener('input', () => write(null, 1));
  const failed = run.jobs.filter(job => job.state === 'failed');
  host.append(...(several ? [el('h3', {}, ...label(run))] : []),
    ...failed.slice(0, 20).map(job => el('p', {class: 'trouble'}, `${nameOf(job.job)} failed: ${job.reason}`)),
    ...(failed.length > 20 ? [el('p', {class: 'trouble'}, `and ${count(failed.length - 20)} more failed`)] : []), el('div', {class: 'scroll'}, el('table', {}, el('thead', {}, el('tr', {}, ...heads)), body)));
}

// --- all of it ---

let drawnAt = 0;
function drawPlots() {
  drawnAt = document.documentElement.clientWidth;
  panels('losses', drawLosses);
  if (!by('groups').hidden) panels('groups', drawGroups);
  panels('slots', drawSlots);
  panels('decisions', drawDecisions);
  panels('outcomes', drawOutcomes);
}

document.body.classList.toggle('several', several);
makePatterns();
headline();
comparison();
groupTables();
drawLegend();
sayings();
drawPlots();
by('jobs').querySelector('.tools').hidden = !runs.some(run => run.jobs.length > 20);
for (const run of runs) drawTable(run, by('jobs').lastElementChild);
by('log').addEventListener('change', () => panels('losses', drawLosses));
window.addEventListener('resize', () => {
  if (document.documentElement.clientWidth !== drawnAt) drawPlots();
});
document.body.dataset.drawn = 'yes';
