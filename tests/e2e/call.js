/* A page that calls the server the way the protocol's documentation shows it: a client secret, an SDP offer, a data channel. */
async ({ secret }) => {
  const connection = new RTCPeerConnection();
  const player = Object.assign(new Audio(), { autoplay: true });
  connection.ontrack = ({ streams }) => (player.srcObject = streams[0]);
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  connection.addTrack(microphone.getAudioTracks()[0], microphone);

  const channel = connection.createDataChannel("oai-events");
  const seen = [];
  const over = new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      seen.push(event);
      if (event.type === "output_audio_buffer.stopped" || event.type === "error") resolve();
    };
  });
  await connection.setLocalDescription(await connection.createOffer());
  const answer = await fetch("/v1/realtime/calls", {
    method: "POST",
    body: connection.localDescription.sdp,
    headers: { Authorization: `Bearer ${secret}`, "Content-Type": "application/sdp" },
  });
  if (!answer.ok) throw new Error(await answer.text());
  await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  await over;

  const stats = [...(await connection.getStats()).values()];
  const received = stats.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
  const ended = new Promise((resolve) => (channel.onclose = resolve));
  const location = answer.headers.get("location");
  const hungUp = await fetch(`${location}/hangup`, { method: "POST", headers: { Authorization: `Bearer ${secret}` } });
  await ended;
  return {
    events: seen,
    energy: received.totalAudioEnergy,
    played_s: player.currentTime,
    hung_up: hungUp.status,
  };
};
