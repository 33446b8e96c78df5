// Keeps the screen of a phone on while the microphone is: a locked screen would end the conversation.

let wanted = false;
let lock = null;

export async function stayAwake(on) {
  wanted = on;
  if (!on) {
    await lock?.release();
    lock = null;
    return;
  }
  try {
    lock = await navigator.wakeLock?.request("screen");
  } catch {
    lock = null; // a low battery, or a page in the background: the conversation goes on all the same
  }
}

document.addEventListener("visibilitychange", () => wanted && document.visibilityState === "visible" && stayAwake(true));
