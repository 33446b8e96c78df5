// Where the server is, what it serves, and what to tell the user when it does not answer.

/** Address and subprotocols of the realtime socket. Browsers can send a key to a socket only as a subprotocol. */
export function realtimeAddress(model, key) {
  const url = new URL("v1/realtime", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  url.search = "";
  if (model) url.searchParams.set("model", model);
  return { url, protocols: key ? ["realtime", `openai-insecure-api-key.${key}`] : ["realtime"] };
}

/** {model} as the server describes it, or {problem, passing} in words for the user; passing: it may go away by itself. */
export async function servedModel(key) {
  let response;
  try {
    response = await fetch("v1/models", { headers: key ? { Authorization: `Bearer ${key}` } : {} });
  } catch {
    return { problem: "The server does not answer.", passing: true };
  }
  if (response.status === 401 || response.status === 403) {
    const wrong = "The server does not accept this API key. Change it in the settings.";
    return { problem: key ? wrong : "The server asks for an API key. Enter it in the settings." };
  }
  const models = response.ok ? ((await response.json()).data ?? []) : [];
  return models.length ? { model: models[0] } : { problem: "The server is still loading its model.", passing: true };
}

/** Why a socket closed, in words for the user; `served`: what `servedModel` found out after that. */
export function whyClosed({ code, reason, opened }, { problem }) {
  if (code === 0) return reason;
  if (problem) return problem;
  if (reason) return `The connection was closed: ${reason}.`;
  // A refused handshake tells a page nothing. The server is up and knows us, so it must be full.
  return opened ? "The connection was lost." : "The server has no place for another conversation at the moment.";
}
