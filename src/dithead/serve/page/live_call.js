// A live conversation as a video call: the browser carries sound and picture, and keeps them in step.

import { ask } from "./api.js";

export class CallTalk {
  // `sound`: the stream that is sent. `video`: the element that shows the person. `on`: as for SocketTalk.
  constructor(wish, sound, video, on) {
    Object.assign(this, { wish, sound, video, on });
    this.stopped = false;
    this.begin().catch((error) => { if (!this.stopped) on.refused(error.message); });
  }

  async begin() {
    this.peer = new RTCPeerConnection();
    this.channel = this.peer.createDataChannel("figures");
    this.channel.onmessage = ({ data }) => this.told(JSON.parse(data));
    for (const track of this.sound.getAudioTracks()) this.peer.addTrack(track, this.sound);
    this.peer.addTransceiver("video", { direction: "recvonly" });
    const stream = new MediaStream();
    this.peer.ontrack = ({ track }) => {
      stream.addTrack(track);
      this.video.srcObject = stream;
    };
    this.peer.onconnectionstatechange = () => {
      if (["failed", "disconnected", "closed"].includes(this.peer.connectionState) && !this.stopped) this.again();
    };
    await this.peer.setLocalDescription(await this.peer.createOffer());
    await gathered(this.peer);
    const wish = this.session ? { session: this.session } : this.wish;
    const answer = await ask("POST", "/v1/live/call", { ...wish, sdp: this.peer.localDescription.sdp });
    if (this.stopped) return;
    this.session = answer.session;
    await this.peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.on.ready(answer);
  }

  told(message) {
    if (message.type === "figures") this.on.figures(message);
    if (message.type === "refused") this.on.refused(message.detail);
  }

  async again() {
    this.on.reconnecting();
    this.peer.close();
    try {
      await this.begin();
    } catch {
      this.stopped = true;
      this.on.ended();
    }
  }

  say(type) { if (this.channel?.readyState === "open") this.channel.send(JSON.stringify({ type })); }

  mute(isMuted) { this.video.muted = isMuted; }

  stop() {
    this.stopped = true;
    this.say("end");
    setTimeout(() => this.peer?.close(), 200);
    this.on.ended();
  }
}

// Until the browser knows its addresses; two seconds are enough where there is no server to ask.
function gathered(peer) {
  return new Promise((done) => {
    const look = () => { if (peer.iceGatheringState === "complete") done(); };
    peer.addEventListener("icegatheringstatechange", look);
    setTimeout(done, 2000);
    look();
  });
}
