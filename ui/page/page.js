// The frame of the page: which view a path means, what views share, and the header.
import { Failure, ask, sleep, token, watch } from './api.js';
import { el, fill } from './dom.js';
import { editor, folder } from './keys.js';
import { node, nodes } from './nodes.js';
import { service, services } from './services.js';

const base = new URL('.', import.meta.url).pathname;
const sections = { services: 'Services', nodes: 'Nodes', kv: 'Keys' };
const place = document.getElementById('main');
const trouble = document.getElementById('trouble');
const notice = document.getElementById('notice');
const access = document.getElementById('access');

let own = ''; // datacenter of the agent
let at = null; // where the page is
let current = null; // AbortController of the view
let unsaved = () => false;

// parse reads a path: [datacenter/]section/[name]. A path without a section means services.
function parse(location) {
  let rest = location.pathname.slice(base.length);
  let [first] = rest.split('/');
  let dc = '';
  if (first && !(first in sections)) {
    dc = decodeURIComponent(first);
    rest = rest.slice(first.length + 1);
    [first] = rest.split('/');
  }
  const name = decodeURIComponent(rest.slice(first.length + 1));
  const query = new URLSearchParams(location.search);
  return { dc, section: first in sections ? first : 'services', name, edit: query.has('edit'), fresh: query.has('new') };
}

function link(section, name = '') {
  const dc = (at && at.dc) || own;
  return `${base}${dc ? `${encodeURIComponent(dc)}/` : ''}${section}${name ? `/${name}` : ''}`;
}

// keyLink is where a key is edited, or a folder shown. Slashes stay as they are unless a server would clean them up.
function keyLink(key, edit, fresh) {
  const whole = encodeURIComponent(key);
  const clean = !/(^|\/)(\.{0,2})(\/|$)/.test(key.replace(/\/$/, ''));
  return link('kv', clean ? whole.replaceAll('%2F', '/') : whole) + (fresh ? '?new' : edit ? '?edit' : '');
}

// A problem is shown until what it came from works again.
const problems = new Map();
function tell(source, error) {
  if (error) problems.set(source, error.message);
  else problems.delete(source);
  fill(trouble, [...new Set(problems.values())].map((text) => el('p', {}, text)));
  if (error instanceof Failure && error.status === 403) access.classList.add('wanted');
}

function say(text) {
  notice.textContent = text;
  notice.classList.add('shown');
  clearTimeout(say.timer);
  say.timer = setTimeout(() => notice.classList.remove('shown'), 4000);
}

// makeView is what views are given: a place, a signal that ends them, the API and links.
function makeView(where, signal) {
  const params = where.dc && where.dc !== own ? { dc: where.dc } : {};
  return {
    place, signal, say, go, key: keyLink,
    link: (section, name) => link(section, name && encodeURIComponent(name)),
    trail: (...steps) => el('nav.trail', { 'aria-label': 'Above' }, steps.map(([text, href], n) => [n ? ' / ' : '', el('a', { href }, text)])),
    ask: (path, options = {}) => ask(path, { signal, ...options, params: { ...params, ...options.params } }),
    watch: (path, options, show) => watch(path, { signal, trouble: (error) => !signal.aborted && tell(path, error), ...options, params: { ...params, ...options.params } }, show),
    async every(ms, action) {
      while (!signal.aborted) {
        await sleep(ms, signal);
        if (!signal.aborted && !document.hidden) action();
      }
    },
    async act(action) {
      try {
        await action();
        if (!signal.aborted) tell('action', null);
      } catch (error) {
        if (!signal.aborted) tell('action', error);
      }
    },
    guard: (changed) => { unsaved = changed; },
  };
}

function show() {
  if (current) current.abort();
  current = new AbortController();
  unsaved = () => false;
  problems.clear();
  tell('', null);
  at = parse(location);
  const view = makeView(at, current.signal);
  fill(place);
  if (at.section === 'kv') {
    if (at.fresh || at.edit || (at.name && !at.name.endsWith('/'))) editor(view, at.name, at.fresh);
    else folder(view, at.name);
  } else if (at.section === 'nodes') at.name ? node(view, at.name) : nodes(view);
  else at.name ? service(view, at.name) : services(view);
  document.title = `${at.name || sections[at.section]} – Lictor`;
  navigation();
}

function navigation() {
  const links = Object.entries(sections).map(([section, title]) => el('a', { href: link(section), 'aria-current': section === at.section ? 'page' : undefined }, title));
  fill(document.querySelector('header nav'), links);
}

function leave() {
  return !unsaved() || confirm('Leave without saving what you changed?');
}

function go(href) {
  history.pushState(null, '', href);
  show();
  scrollTo(0, 0);
  if (!place.contains(document.activeElement)) place.focus();
}

document.addEventListener('click', (event) => {
  const anchor = event.target.closest('a');
  if (!anchor || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (anchor.origin !== location.origin || !anchor.pathname.startsWith(base) || anchor.getAttribute('href').startsWith('#')) return;
  event.preventDefault();
  if (leave()) go(anchor.href);
});
window.addEventListener('popstate', show);
window.addEventListener('beforeunload', (event) => { if (unsaved()) event.preventDefault(); });
document.addEventListener('keydown', (event) => {
  const filter = document.querySelector('.filter');
  if (event.key !== '/' || !filter || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
  event.preventDefault();
  filter.focus();
});

// The header: who answers, and who leads.
async function header() {
  const facts = document.getElementById('agent');
  const fact = (name, value, kind = 'dd') => el('div', {}, el('dt', {}, name), el(kind, {}, value));
  let self = null;
  for (;;) {
    if (!document.hidden) {
      let leader;
      try {
        if (!self) self = (await ask('/v1/agent/self')).value;
      } catch { /* the token may not read it; the leader is shown all the same */ }
      try {
        leader = (await ask('/v1/status/leader')).value;
        tell('header', null);
      } catch (error) {
        self = null;
        tell('header', error);
      }
      const config = self && self.Config;
      if (config && own !== config.Datacenter) {
        own = config.Datacenter;
        navigation();
      }
      fill(facts, config ? [fact('Agent', config.NodeName), fact('Role', config.Server ? 'server' : 'client'), fact('Datacenter', config.Datacenter)] : [],
        leader === undefined ? [] : leader ? fact('Leader', leader) : fact('Leader', 'none', 'dd.bad'));
    }
    await sleep(10000, header.wake.signal);
    if (header.wake.signal.aborted) {
      header.wake = new AbortController();
      self = null;
    }
  }
}
header.wake = new AbortController();

function tokenForm() {
  const input = document.getElementById('token');
  const mark = () => { access.classList.toggle('set', token.get() !== ''); access.classList.remove('wanted'); };
  const use = (secret) => {
    token.set(secret);
    input.value = '';
    access.open = false;
    mark();
    header.wake.abort();
    show();
  };
  access.querySelector('form').addEventListener('submit', (event) => { event.preventDefault(); if (leave()) use(input.value.trim()); });
  access.querySelector('form').addEventListener('reset', () => { if (leave()) use(''); });
  access.addEventListener('toggle', () => { if (access.open) input.focus(); });
  access.addEventListener('keydown', (event) => { if (event.key === 'Escape') { access.open = false; access.querySelector('summary').focus(); } });
  mark();
}

tokenForm();
header();
show();
