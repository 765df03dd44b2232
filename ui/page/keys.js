// Keys and values: folders, and the editor of one key.
import { browser, el, facts, fill } from './dom.js';

const separator = '/';

// path is where the API has a key. It is one segment, so that a browser leaves dots and slashes in it alone.
function path(key) {
  return `/v1/kv/${encodeURIComponent(key)}`;
}

function parent(key) {
  return key.slice(0, key.replace(/\/$/, '').lastIndexOf(separator) + 1);
}

// trail shows the folders above a key, as links.
function trail(view, key) {
  const steps = [['Keys', view.link('kv')]];
  for (let at = key.indexOf(separator); at >= 0 && at < key.length - 1; at = key.indexOf(separator, at + 1)) {
    steps.push([key.slice(key.lastIndexOf(separator, at - 1) + 1, at) || separator, view.key(key.slice(0, at + 1))]);
  }
  return view.trail(...steps);
}

// folder shows what is directly below a prefix.
export function folder(view, prefix) {
  const list = browser({
    what: 'keys', empty: 'There are no keys here.', head: ['Key', ''],
    key: (k) => k,
    matches: (k, word) => k.slice(prefix.length).toLowerCase().includes(word),
    row: (k) => {
      const deep = k.endsWith(separator) && k !== prefix;
      const name = k === prefix ? '(value of this folder)' : k.slice(prefix.length);
      const node = el('tr', {},
        el('td', {}, el(deep ? 'a.name.folder' : 'a.name.mono', { href: deep ? view.key(k) : view.key(k, true) }, name)),
        el('td.end', {}, el('button.quiet', { onclick: () => remove(view, k, deep), 'aria-label': `Delete ${k}` }, 'Delete')));
      return { node, update: () => {} };
    },
  });
  const create = el('a.button.primary', { href: view.key(prefix, true, true) }, 'New key');
  fill(view.place, prefix && trail(view, prefix), el('div.row', {}, el('h1', {}, prefix ? prefix.slice(parent(prefix).length) : 'Keys'), create), list.node);
  view.watch(prefix ? path(prefix) : '/v1/kv/', { params: { keys: 'true', separator }, missing: [] }, (value) => {
    const deep = (k) => k.endsWith(separator) && k !== prefix;
    list.draw(value.sort((a, b) => deep(b) - deep(a) || (a < b ? -1 : 1)));
  });
}

async function remove(view, key, deep) {
  if (!confirm(deep ? `Delete ${key} and all keys below it?` : `Delete ${key}?`)) return;
  await view.act(async () => {
    await view.ask(path(key), { method: 'DELETE', params: deep ? { recurse: 'true' } : {} });
    view.say(`${key} is deleted.`);
  });
}

// decode turns base64 into bytes, and encode back.
function decode(text) {
  return Uint8Array.from(atob(text.replace(/\s+/g, '')), (c) => c.charCodeAt(0));
}

function encode(bytes) {
  let out = '';
  for (const b of bytes) out += String.fromCharCode(b);
  return btoa(out);
}

// asText is bytes as text, or null if they are none that an editor would give back unharmed.
function asText(bytes) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return /[\u0000\r]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

// editor shows one key. fresh means that the user is about to name a new one, in the folder key.
export function editor(view, key, fresh) {
  let entry = null, loaded = '', flags = '0', base64 = false, newer = null;
  const name = el('input.mono', { value: key, 'aria-label': 'Key', spellcheck: false, autocomplete: 'off' });
  const value = el('textarea.mono', { rows: 16, spellcheck: false, 'aria-label': 'Value' });
  const binary = el('input', { type: 'checkbox', onchange: convert });
  const note = el('div.row.note', { hidden: true }, 'The value was changed elsewhere.', el('button', { onclick: () => take(newer) }, 'Load it'));
  const info = el('div');
  const save = el('button.primary', { onclick: store }, fresh ? 'Create' : 'Save');
  const drop = el('button', { hidden: true, onclick: erase }, 'Delete');
  fill(view.place, trail(view, fresh ? `${key}.` : key), el('h1', {}, fresh ? 'New key' : key.slice(parent(key).length)),
    fresh ? el('label.field', {}, 'Key', name) : null, note,
    el('label.field', {}, 'Value', value),
    el('div.row', {}, save, drop, el('label', {}, binary, ' as base64'), el('span.quiet', {}, 'Ctrl+S saves')), info);
  value.addEventListener('keydown', (event) => {
    if (event.key !== 's' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    store();
  });
  view.guard(() => value.value !== loaded);

  function bytes() {
    return base64 ? decode(value.value) : new TextEncoder().encode(value.value);
  }
  function show(raw) {
    const text = asText(raw);
    base64 = binary.checked || text === null;
    binary.checked = base64;
    return base64 ? encode(raw) : text;
  }
  function convert() {
    view.act(async () => {
      const changed = value.value !== loaded;
      let raw;
      try { raw = bytes(); } catch { binary.checked = base64; throw new Error('This is not base64.'); }
      if (!binary.checked && asText(raw) === null) { binary.checked = true; throw new Error('The value is binary: it cannot be shown as text.'); }
      value.value = show(raw);
      if (!changed) loaded = value.value;
    });
  }
  // take shows an entry of the API; text is the answer that it came in, for numbers too large for JavaScript.
  function take({ found, text }) {
    const unchanged = entry && found && found.ModifyIndex === entry.ModifyIndex;
    entry = found;
    note.hidden = true;
    drop.hidden = !entry;
    save.textContent = entry ? 'Save' : 'Create';
    if (!entry) {
      fill(info, el('p.empty', {}, 'There is no such key.'));
      return;
    }
    flags = (text.match(/"Flags":\s*(\d+)/) || ['', '0'])[1];
    if (!unchanged) {
      binary.checked = false;
      loaded = value.value = show(decode(entry.Value || ''));
    }
    fill(info, facts([['Flags', flags], ['Created at index', entry.CreateIndex], ['Changed at index', entry.ModifyIndex],
      ['Locked by session', entry.Session], ['Times locked', entry.LockIndex || '']]));
  }
  function store() {
    view.act(async () => {
      const target = fresh ? name.value.replace(/^\/+/, '') : key;
      if (!target) throw new Error('The key needs a name.');
      let body;
      try { body = bytes(); } catch { throw new Error('This is not base64.'); }
      const params = { cas: entry ? entry.ModifyIndex : '0', flags: flags === '0' ? '' : flags };
      const answer = await view.ask(path(target), { method: 'PUT', params, body });
      if (answer.value !== true) throw new Error(entry ? 'Not saved: the key was changed or deleted meanwhile.' : 'Not created: there is such a key already.');
      loaded = value.value;
      view.say(`${target} is ${entry ? 'saved' : 'created'}.`);
      if (fresh) view.go(view.key(target, true));
    });
  }
  function erase() {
    if (!confirm(`Delete ${key}?`)) return;
    view.act(async () => {
      const answer = await view.ask(path(key), { method: 'DELETE', params: { cas: entry.ModifyIndex } });
      if (answer.value !== true) throw new Error('Not deleted: the key was changed meanwhile.');
      loaded = value.value;
      view.say(`${key} is deleted.`);
      view.go(view.key(parent(key)));
    });
  }

  if (fresh) {
    name.focus();
    name.setSelectionRange(key.length, key.length);
    return;
  }
  view.watch(path(key), { missing: [null] }, (values, text) => {
    const next = { found: values[0], text };
    const foreign = next.found && (!entry || next.found.ModifyIndex !== entry.ModifyIndex);
    if (foreign && value.value !== loaded && next.found.Value !== encode(bytesOrNothing())) {
      newer = next;
      note.hidden = false;
      return;
    }
    take(next);
  });
  function bytesOrNothing() {
    try { return bytes(); } catch { return new Uint8Array(); }
  }
}
