// Services, and the instances of one.
import { badge, browser, checkTable, count, el, facts, fill, plural, rows, tags, tally, worst } from './dom.js';

const wide = 4; // requests for instances at the same time

// services shows all services. The instances of those in sight are counted, again whenever something changes.
export function services(view) {
  const counts = new Map(); // by name: {instances, statuses, stale}
  const drawn = new Map(); // by name: what shows the counts
  const inSight = new Set();
  let asking = 0;

  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const name = entry.target.dataset.service;
      if (entry.isIntersecting) inSight.add(name);
      else inSight.delete(name);
    }
    ask();
  }, { rootMargin: '200px' });
  view.signal.addEventListener('abort', () => sight.disconnect());

  function ask() {
    for (const name of inSight) {
      if (asking >= wide || document.hidden) return;
      const known = counts.get(name);
      if (known && !known.stale) continue;
      counts.set(name, { ...known, stale: false });
      asking++;
      view.ask(`/v1/health/service/${encodeURIComponent(name)}`)
        .then(({ value }) => counts.set(name, { instances: value.length, statuses: count(value.map((i) => worst(i.Checks))), stale: counts.get(name).stale }))
        .catch(() => counts.delete(name)) // the watches tell what is wrong
        .finally(() => { asking--; if (!view.signal.aborted) { (drawn.get(name) || (() => {}))(); ask(); } });
    }
  }
  function changed() {
    for (const known of counts.values()) known.stale = true;
    ask();
  }

  const list = browser({
    what: 'services', empty: 'No services are registered.', head: ['Service', 'Instances', 'Health', 'Tags'],
    key: (s) => s.name,
    matches: (s, word) => s.name.toLowerCase().includes(word) || s.tags.some((tag) => tag.toLowerCase().includes(word)),
    row: (s) => {
      const cells = { instances: el('td.number'), health: el('td'), tags: el('td') };
      const node = el('tr', {}, el('td', {}, el('a.name', { href: view.link('services', s.name) }, s.name)), cells.instances, cells.health, cells.tags);
      node.dataset.service = s.name;
      sight.observe(node);
      const show = () => {
        const known = counts.get(s.name);
        if (!known || known.instances === undefined) return;
        cells.instances.textContent = known.instances;
        fill(cells.health, tally(known.statuses));
      };
      drawn.set(s.name, show);
      show();
      return { node, update: (next) => fill(cells.tags, tags(next.tags)) };
    },
  });
  fill(view.place, el('h1', {}, 'Services'), list.node);

  view.watch('/v1/catalog/services', {}, (value) => {
    list.draw(Object.keys(value).sort().map((name) => ({ name, tags: value[name] })));
    changed();
  });
  view.watch('/v1/health/state/any', {}, changed);
  view.every(10000, changed); // an instance without checks comes and goes unnoticed by both
}

// service shows the instances of one service.
export function service(view, name) {
  const summary = el('div.row');
  const list = el('div.cards');
  fill(view.place, view.trail(['Services', view.link('services')]), el('h1', {}, name), summary, list);
  view.watch(`/v1/health/service/${encodeURIComponent(name)}`, {}, (value) => {
    const key = (i) => `${i.Node.Node}\u0000${i.Service.ID}`;
    value.sort((a, b) => (key(a) < key(b) ? -1 : 1));
    fill(summary, el('span.quiet', {}, plural(value.length, 'instance')), tally(count(value.map((i) => worst(i.Checks)))));
    rows(list, value, key, () => instance(view));
    if (!value.length) fill(list, el('p.empty', {}, 'No instance of this service is registered.'));
  });
}

function address(host, port) {
  if (!port) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

// instance is the row of an instance. Its checks are folded out by who looks, at first if one of them is not passing.
function instance(view) {
  const head = el('div.row'), info = el('div'), title = el('summary'), checks = el('div');
  const fold = el('details', {}, title, checks);
  let fresh = true;
  return {
    node: el('article.card', {}, head, info, fold),
    update: ({ Node, Service, Checks }) => {
      const status = worst(Checks);
      fill(head, badge(status), el('h2', {}, Service.ID), tags(Service.Tags));
      fill(info, facts([
        ['Node', el('a', { href: view.link('nodes', Node.Node) }, Node.Node)],
        ['Address', address(Service.Address || Node.Address, Service.Port)],
        ...Object.entries(Service.Meta || {}).sort(),
      ]));
      fill(title, `${plural(Checks.length, 'check')} `, tally(count(Checks.map((c) => c.Status))));
      fill(checks, checkTable(Checks));
      if (fresh) fold.open = status !== 'passing';
      fresh = false;
    },
  };
}
