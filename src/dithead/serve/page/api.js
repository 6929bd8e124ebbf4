// Speaks with the server. Errors are the server's one line.

const PART = 4 * 2 ** 20; // bytes of one part of an upload: what a broken connection costs at most
const PATIENCE = 6; // attempts to go on after a broken connection

export class ApiError extends Error {
  constructor(status, line) { super(line); this.status = status; }
}

export async function ask(method, path, body, headers = {}) {
  const request = { method, headers: { ...headers }, cache: "no-store" };
  if (body instanceof Blob) request.body = body;
  else if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, request);
  const isJson = answer.status !== 204 && (answer.headers.get("content-type") ?? "").startsWith("application/json");
  const content = isJson ? await answer.json() : null;
  if (!answer.ok) throw new ApiError(answer.status, content?.detail ?? `${answer.status} ${answer.statusText}`);
  return content;
}

// Send a file in parts; after a broken connection, go on from where the server stands.
export async function upload(file, name, onProgress, signal) {
  const clean = name.replace(/[\u0000-\u001f\u007f/\\]/g, "_").slice(-200) || "file";
  let state = await ask("POST", `/v1/uploads?name=${encodeURIComponent(clean)}&size=${file.size}`);
  let failures = 0;
  while (state.offset < state.size) {
    if (signal.aborted) {
      ask("DELETE", `/v1/uploads/${state.id}`).catch(() => {});
      throw new DOMException("aborted", "AbortError");
    }
    const part = file.slice(state.offset, state.offset + PART);
    try {
      state = await ask("PATCH", `/v1/uploads/${state.id}`, part, { "Upload-Offset": String(state.offset) });
      failures = 0;
    } catch (error) {
      if (error instanceof ApiError && error.status < 500 && ![408, 409].includes(error.status)) throw error;
      if (++failures > PATIENCE) throw error;
      await new Promise((wake) => setTimeout(wake, 500 * 2 ** failures));
      state = await ask("GET", `/v1/uploads/${state.id}`);
    }
    onProgress(state.offset / state.size);
  }
  return state;
}

// Follow a job: by events, or by polling where no event stream is to be had. Returns a function that stops it.
export function follow(jobId, onJob, onGone) {
  let stopped = false;
  let timer = 0;
  const ended = (job) => !["queued", "running", "cancelling"].includes(job.state);
  const poll = async () => {
    if (stopped) return;
    try {
      const job = await ask("GET", `/v1/jobs/${jobId}`);
      if (stopped) return;
      onJob(job);
      if (ended(job)) return;
    } catch (error) {
      if (error.status === 404) { onGone(); return; }
    }
    timer = setTimeout(poll, 1500);
  };
  const events = new EventSource(`/v1/jobs/${jobId}/events`);
  events.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    onJob(job);
    if (ended(job)) events.close();
  });
  events.onerror = () => { if (!stopped) { events.close(); poll(); } };
  return () => { stopped = true; clearTimeout(timer); events.close(); };
}
