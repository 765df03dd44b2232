// Elements made of values. Whatever comes from the agent becomes text or a property, never markup.

// el makes an element: el('a.name', {href: '/x', onclick: f}, 'text', node, [more]).
export function el(kind, props, ...children) {
  const [tag, ...classes] = kind.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(' ');
  for (const [name, value] of Object.entries(props || {})) {
    if (name in node) node[name] = value;
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ''));
}

const kept = new WeakMap(); // the rows of each parent, by key

// rows brings the children of parent in line with items. A row lives as long as its key, so that focus, scrolling and
// what is folded out survive a change. make(item) returns {node, update(item)}.
export function rows(parent, items, keyOf, make) {
  const before = kept.get(parent) || new Map();
  const after = new Map();
  items.forEach((item, place) => {
    const key = keyOf(item);
    const row = before.get(key) || make(item);
    row.update(item);
    after.set(key, row);
    before.delete(key);
    if (parent.children[place] !== row.node) parent.insertBefore(row.node, parent.children[place] || null);
  });
  for (const row of before.values()) row.node.remove();
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  kept.set(parent, after);
}

export function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

// worst is the status of a whole by those of its parts.
export function worst(checks) {
  const all = checks.map((check) => check.Status);
  return all.includes('critical') ? 'critical' : all.includes('warning') ? 'warning' : 'passing';
}

export function badge(status, text = status) {
  return el(`span.badge.${['passing', 'warning', 'critical'].includes(status) ? status : 'unknown'}`, {}, text);
}

// tally shows how many parts have each status, the bad ones first.
export function tally(counts) {
  const parts = ['critical', 'warning', 'passing'].filter((status) => counts[status]);
  return parts.map((status) => badge(status, `${counts[status]} ${status}`));
}

export function count(statuses) {
  const counts = {};
  for (const status of statuses) counts[status] = (counts[status] || 0) + 1;
  return counts;
}

export function tags(list) {
  return (list || []).map((tag) => el('span.tag', {}, tag));
}

export function facts(pairs) {
  return el('dl.facts', {}, pairs.filter(([, value]) => value !== '' && value !== undefined && value !== null)
    .map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

// checkTable shows checks with what they said.
export function checkTable(checks) {
  if (!checks.length) return el('p.quiet', {}, 'No checks.');
  const order = { critical: 0, warning: 1, passing: 2 };
  const sorted = [...checks].sort((a, b) => order[a.Status] - order[b.Status] || (a.Name < b.Name ? -1 : 1));
  return el('ul.checks', {}, sorted.map((check) => el('li', {},
    el('div.row', {}, badge(check.Status), el('strong', {}, check.Name || check.CheckID),
      el('span.quiet', {}, [check.ServiceName ? `service ${check.ServiceName}` : 'node', check.Type].filter(Boolean).join(' · '))),
    check.Notes ? el('p.quiet', {}, check.Notes) : null,
    check.Output ? el('pre', { tabIndex: 0 }, check.Output) : null)));
}

const most = 300; // rows that are drawn at once

// browser is a list with a filter box: {node, draw(items)}. settings: what, empty, head (column titles), matches(item,
// word), key(item), row(item).
export function browser(settings) {
  let items = null, all = false;
  const shown = el('span.quiet', { role: 'status' });
  const input = el('input.filter', { type: 'search', placeholder: `Filter ${settings.what}  ( / )`, 'aria-label': `Filter ${settings.what}` });
  const body = el('tbody');
  const more = el('button', { hidden: true, onclick: () => { all = true; draw(); } });
  const empty = el('p.empty', { hidden: true });
  const table = el('table', {}, el('thead', {}, el('tr', {}, settings.head.map((title) => el('th', { scope: 'col' }, title)))), body);
  input.addEventListener('input', () => draw());
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') { input.value = ''; draw(); }
  });

  function draw() {
    if (!items) return;
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = items.filter((item) => words.every((word) => settings.matches(item, word)));
    const drawn = all ? found : found.slice(0, most);
    rows(body, drawn, settings.key, settings.row);
    shown.textContent = words.length ? `${found.length} of ${items.length}` : String(items.length);
    more.hidden = drawn.length === found.length;
    more.textContent = `Show all ${found.length}`;
    empty.hidden = found.length > 0;
    empty.textContent = items.length ? 'Nothing matches the filter.' : settings.empty;
    table.hidden = !found.length;
  }
  const node = el('section', {}, el('div.row.bar', {}, input, shown), el('div.scroll', {}, table), empty, more);
  node.addEventListener('keydown', (event) => step(event, node));
  return { node, draw: (next) => { items = next; draw(); } };
}

// step moves the focus with the arrow keys, from the filter through the rows.
function step(event, node) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  const stops = [node.querySelector('.filter'), ...node.querySelectorAll('tbody a.name')];
  const at = stops.indexOf(document.activeElement);
  if (at < 0 || !stops[at + by]) return;
  event.preventDefault();
  stops[at + by].focus();
}
