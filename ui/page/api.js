// What the page asks of its agent: single requests, and watches that follow a result by blocking queries.

const tokenName = 'lictor-token';

export const token = {
  get: () => sessionStorage.getItem(tokenName) || '',
  set: (secret) => (secret ? sessionStorage.setItem(tokenName, secret) : sessionStorage.removeItem(tokenName)),
};

// A Failure is an answer of the agent, or the lack of one, in words for the user.
export class Failure extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

function explain(status, text) {
  text = text.trim();
  if (status === 403) return `Not permitted. ${text}`;
  return text || `The agent answered with status ${status}.`;
}

// ask makes one request. options: method, params, body, signal, and missing, the value that stands for "not found".
// It resolves to {value, text, index}; index is 0 if the answer has none.
export async function ask(path, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.params || {})) {
    if (value !== undefined && value !== '') query.set(name, value);
  }
  const headers = token.get() ? { 'X-Consul-Token': token.get() } : {};
  let response, text;
  try {
    response = await fetch(query.size ? `${path}?${query}` : path, {
      method: options.method || 'GET', body: options.body, signal: options.signal, headers, cache: 'no-store', credentials: 'same-origin',
    });
    text = await response.text();
  } catch (error) {
    if (options.signal && options.signal.aborted) throw error;
    throw new Failure(0, 'The agent does not answer.');
  }
  const index = Number(response.headers.get('X-Consul-Index')) || 0;
  if (response.status === 404 && 'missing' in options) return { value: options.missing, text, index };
  if (!response.ok) throw new Failure(response.status, explain(response.status, text));
  try {
    return { value: JSON.parse(text), text, index };
  } catch {
    throw new Failure(response.status, 'The agent answered with something other than JSON.');
  }
}

export function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    if (signal) signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

// visible waits until the tab is shown: a hidden one gives its connections back, of which a browser has few.
function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', resolve, { once: true, signal });
    signal.addEventListener('abort', resolve, { once: true });
  });
}

// untilHidden is a signal that fires with another one, or when the tab is hidden.
function untilHidden(signal) {
  const hidden = new AbortController();
  document.addEventListener('visibilitychange', () => hidden.abort(), { once: true, signal: AbortSignal.any([signal, hidden.signal]) });
  return { signal: AbortSignal.any([signal, hidden.signal]), end: () => hidden.abort() };
}

// watch shows a result now and whenever it changes, until options.signal fires. options are those of ask, and
// trouble(error or null), which is told what goes wrong and that it is over.
export async function watch(path, options, show) {
  const { signal, trouble } = options;
  for (let index = 0, pause = 1000; !signal.aborted;) {
    await visible(signal);
    if (signal.aborted) return;
    const request = untilHidden(signal);
    try {
      const params = { ...options.params, index: index || undefined, wait: index ? '55s' : undefined };
      const answer = await ask(path, { ...options, params, signal: request.signal });
      if (signal.aborted) return;
      trouble(null);
      pause = 1000;
      if (answer.index !== index || !index) show(answer.value, answer.text);
      index = answer.index < index ? 0 : answer.index; // an index that went back starts anew
      await sleep(index ? 200 : 5000, signal); // no more than a few redraws in a second
    } catch (error) {
      if (signal.aborted) return;
      if (request.signal.aborted) continue; // hidden
      if (!(error instanceof Failure)) throw error;
      trouble(error);
      index = 0;
      await sleep(pause, signal);
      pause = Math.min(pause * 2, 15000);
    } finally {
      request.end();
    }
  }
}
