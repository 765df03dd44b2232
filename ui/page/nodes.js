// Nodes, and the services and checks of one.
import { badge, browser, checkTable, count, el, facts, fill, plural, tags, tally, worst } from './dom.js';

// nodes shows all nodes with the health of their own checks, and how the checks of their services are.
export function nodes(view) {
  let known = null, checks = null;
  const list = browser({
    what: 'nodes', empty: 'No nodes are registered.', head: ['Node', 'Health', 'Address', 'Checks of services'],
    key: (n) => n.Node,
    matches: (n, word) => n.Node.toLowerCase().includes(word) || n.Address.includes(word),
    row: (n) => {
      const cells = { health: el('td'), address: el('td.mono'), services: el('td') };
      return {
        node: el('tr', {}, el('td', {}, el('a.name', { href: view.link('nodes', n.Node) }, n.Node)), cells.health, cells.address, cells.services),
        update: (next) => {
          cells.address.textContent = next.Address;
          if (!checks) return;
          const own = checks.get(next.Node) || [];
          fill(cells.health, badge(worst(own.filter((c) => !c.ServiceID))));
          fill(cells.services, tally(count(own.filter((c) => c.ServiceID).map((c) => c.Status))));
        },
      };
    },
  });
  fill(view.place, el('h1', {}, 'Nodes'), list.node);
  const draw = () => known && list.draw(known);
  view.watch('/v1/catalog/nodes', {}, (value) => {
    known = value.sort((a, b) => (a.Node < b.Node ? -1 : 1));
    draw();
  });
  view.watch('/v1/health/state/any', {}, (value) => {
    checks = Map.groupBy ? Map.groupBy(value, (c) => c.Node) : group(value);
    draw();
  });
}

function group(checks) {
  const groups = new Map();
  for (const check of checks) groups.set(check.Node, [...(groups.get(check.Node) || []), check]);
  return groups;
}

// node shows one node.
export function node(view, name) {
  let offered = null, checks = [];
  const about = el('div'), services = el('div.scroll'), health = el('div.card');
  const parts = el('div', { hidden: true }, el('h2', {}, 'Services'), services, el('h2', {}, 'Checks'), health);
  fill(view.place, view.trail(['Nodes', view.link('nodes')]), el('h1', {}, name), about, parts);

  function draw() {
    if (!offered) return;
    parts.hidden = !offered.Node;
    if (!offered.Node) {
      fill(about, el('p.empty', {}, 'No node of this name is registered.'));
      return;
    }
    const { ID, Address, Datacenter, Meta } = offered.Node;
    fill(about, el('div.row', {}, badge(worst(checks.filter((c) => !c.ServiceID)))),
      facts([['Address', Address], ['Datacenter', Datacenter], ['ID', ID], ...Object.entries(Meta || {}).sort()]));
    fill(services, serviceTable(view, offered.Services || [], checks));
  }
  view.watch(`/v1/catalog/node-services/${encodeURIComponent(name)}`, { missing: {} }, (value) => { offered = value || {}; draw(); });
  view.watch(`/v1/health/node/${encodeURIComponent(name)}`, {}, (value) => {
    checks = value;
    fill(health, checkTable(checks));
    draw();
  });
}

function serviceTable(view, services, checks) {
  if (!services.length) return el('p.empty', {}, 'No services on this node.');
  return el('table', {},
    el('thead', {}, el('tr', {}, ['Service', 'ID', 'Health', 'Port', 'Tags'].map((t) => el('th', { scope: 'col' }, t)))),
    el('tbody', {}, services.map((s) => {
      const own = checks.filter((c) => c.ServiceID === s.ID);
      return el('tr', {},
        el('td', {}, el('a.name', { href: view.link('services', s.Service) }, s.Service)), el('td.mono', {}, s.ID),
        el('td', {}, badge(worst(own)), ' ', el('span.quiet', {}, plural(own.length, 'check'))),
        el('td.number', {}, s.Port ? String(s.Port) : ''), el('td', {}, tags(s.Tags)));
    })));
}
