// A live conversation over a websocket: sends 16-bit samples, plays what comes back, and draws its frames in step.

const BUFFER = 0.12; // seconds that sound and frames wait, so that the network's jitter is not heard
const PATIENCE = 6; // attempts to come back after a broken connection
const HEAD = 16; // bytes before a picture or a sound: kind, number, seconds

export class SocketTalk {
  // `wish`: whom to show. `on`: ready, figures, refused, reconnecting, ended.
  constructor(wish, context, canvas, on) {
    Object.assign(this, { wish, context, canvas, on });
    this.brush = canvas.getContext("2d");
    this.out = context.createGain();
    this.out.connect(context.destination);
    this.frames = [];
    this.attempts = 0;
    this.session = null;
    this.stopped = false;
    this.shift = null; // of the conversation's seconds to those of the context
    this.open();
    this.draw = this.draw.bind(this);
    requestAnimationFrame(this.draw);
  }

  open() {
    const place = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`;
    this.socket = new WebSocket(place);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(JSON.stringify(this.session ? { session: this.session } : this.wish));
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.told(JSON.parse(data)) : this.came(data));
    this.socket.onclose = () => this.closed();
  }

  told(message) {
    if (message.type === "ready") {
      this.attempts = 0;
      this.session = message.session;
      this.shift = null;
      this.live = true; // what is said before would only pile up
      Object.assign(this.canvas, { width: message.width, height: message.height });
      this.on.ready(message);
    } else if (message.type === "figures") {
      this.on.figures({ ...message, latency: message.latency + BUFFER + (this.context.outputLatency || 0) });
    } else if (message.type === "busy" || message.type === "error") {
      this.stopped = true;
      this.on.refused(message.detail);
    } else if (message.type === "refused") {
      this.on.refused(message.detail);
    }
  }

  came(data) {
    const head = new DataView(data, 0, HEAD);
    const seconds = head.getFloat64(8, true);
    if (head.getUint8(0) === 1) this.frames.push({ seconds, picture: new Blob([new Uint8Array(data, HEAD)], { type: "image/jpeg" }) });
    else this.play(seconds, new Int16Array(data.slice(HEAD)));
  }

  play(seconds, samples) {
    const now = this.context.currentTime;
    if (this.shift === null || this.shift + seconds < now) this.shift = now + BUFFER - seconds;
    const buffer = this.context.createBuffer(1, samples.length, this.wish.rate);
    const channel = buffer.getChannelData(0);
    for (let k = 0; k < samples.length; k++) channel[k] = samples[k] / 32768;
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.out);
    source.start(this.shift + seconds);
  }

  // Draw the newest frame that is due; older ones are left out.
  async draw() {
    if (this.stopped) return;
    const heard = this.context.currentTime - (this.context.outputLatency || 0) - (this.shift ?? 0);
    let due = null;
    while (this.frames.length && (this.shift === null || this.frames[0].seconds <= heard)) due = this.frames.shift();
    if (due) {
      const picture = await createImageBitmap(due.picture);
      this.brush.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
      picture.close();
    }
    requestAnimationFrame(this.draw);
  }

  closed() {
    this.live = false;
    if (this.stopped) return this.on.ended();
    if (!this.session || ++this.attempts > PATIENCE) {
      this.stopped = true;
      return this.on.ended();
    }
    this.on.reconnecting();
    setTimeout(() => { if (!this.stopped) this.open(); }, 300 * 2 ** this.attempts);
  }

  speak(samples) { if (this.live && this.socket.readyState === WebSocket.OPEN) this.socket.send(samples); }

  say(type) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type })); }

  mute(isMuted) { this.out.gain.value = isMuted ? 0 : 1; }

  stop() {
    this.stopped = true;
    this.say("end");
    this.socket.close(1000);
  }
}
