// Where the server is, what it serves, and what to tell the user when it does not let us in.

/** Address and subprotocols of the realtime socket. Browsers can send a key to a socket only as a subprotocol. */
export function realtimeAddress(model, key, offer) {
  const url = realtimeUrl(model);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return { url, protocols: ["realtime", offer, ...(key ? [`openai-insecure-api-key.${key}`] : [])] };
}

/** The model as the server describes it, or null when it does not say. */
export async function servedModel(key) {
  try {
    const response = await fetch("v1/models", { headers: authorization(key) });
    return response.ok ? ((await response.json()).data?.[0] ?? null) : null;
  } catch {
    return null;
  }
}

/**
 * Why the server lets us not in, as {text, passing, key}, or null if it does. A page does not learn why its socket was
 * refused; the same address without an upgrade says so. `passing`: it may go away by itself; `key`: the key is the matter.
 */
export async function refusal(model, key) {
  let response;
  try {
    response = await fetch(realtimeUrl(model), { headers: authorization(key) });
  } catch {
    return { text: "The server does not answer.", passing: true };
  }
  if (response.status === 426) return null;
  const { code, message } = await errorOf(response);
  return {
    text: REFUSALS[code] ?? message ?? `The server refused the conversation (HTTP ${response.status}).`,
    passing: response.status >= 500 || response.status === 429,
    key: response.status === 401 || response.status === 403,
  };
}

const REFUSALS = {
  missing_api_key: "The server asks for an API key.",
  invalid_api_key: "The server does not accept this API key.",
  api_key_expired: "This API key has expired.",
  api_key_revoked: "This API key has been revoked.",
  too_many_sessions: "This API key has as many conversations as it may have at once.",
  at_capacity: "All places of this server are taken.",
  too_many_waiting: "Others at your address wait for this server already.",
  model_loading: "The server is still loading its model.",
  model_failed: "The server could not load its model.",
  engine_unavailable: "A part of the server has failed and is being restarted.",
};

function realtimeUrl(model) {
  const url = new URL("v1/realtime", location.href);
  url.hash = "";
  url.search = "";
  if (model) url.searchParams.set("model", model);
  return url;
}

function authorization(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function errorOf(response) {
  try {
    return (await response.json()).error ?? {};
  } catch {
    return {};
  }
}
