/** An animated picture with a tone in place of a camera, for `?fake=1`. */

const WIDTH = 640;
const HEIGHT = 480;
const FRAMES_PER_S = 24;
/** Just loud enough to hear that sound arrives. */
const GAIN = 0.015;

/**
 * A media stream for a device without a camera: an animated face in random colours, and a soft chord.
 * Browsers keep the sound silent until the first user gesture on the page.
 */
export function createSyntheticCamera(random: () => number = Math.random): MediaStream {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const brush = canvas.getContext("2d");
  const hue = Math.floor(random() * 360);
  const began = performance.now();
  const paint = () => {
    if (brush) draw(brush, hue, (performance.now() - began) / 1000);
  };
  paint();
  const stream = canvas.captureStream(FRAMES_PER_S);
  const audio = new AudioContext();
  for (const track of chord(audio, 150 + random() * 130)) stream.addTrack(track);
  const stopPainting = everyFrame(audio, paint);

  // Autoplay policy: an AudioContext created without a user gesture starts suspended.
  const wake = () => void audio.resume().catch(() => {});
  addEventListener("pointerdown", wake, { once: true });
  addEventListener("keydown", wake, { once: true });

  const [picture] = stream.getVideoTracks();
  if (picture) {
    const stop = picture.stop.bind(picture);
    // `stop()` fires no `ended` event, so the method itself is wrapped.
    picture.stop = () => {
      stopPainting();
      void audio.close().catch(() => {});
      stop();
    };
  }
  return stream;
}

/**
 * Calls `paint` for every frame, also in a hidden tab. Browsers throttle timers to one per second there and run no
 * animation frames, but audio nodes still end on time, so their `ended` events serve as the clock.
 */
function everyFrame(audio: AudioContext, paint: () => void): () => void {
  const timer = setInterval(() => {
    if (!document.hidden || audio.state !== "running") paint();
  }, 1000 / FRAMES_PER_S);
  const silence = audio.createGain();
  silence.gain.value = 0;
  silence.connect(audio.destination);
  let stopped = false;

  function tick(): void {
    if (stopped) return;
    if (document.hidden) paint();
    const node = audio.createConstantSource();
    node.connect(silence);
    node.addEventListener("ended", () => {
      node.disconnect();
      tick();
    });
    node.start();
    node.stop(audio.currentTime + 1 / FRAMES_PER_S);
  }

  tick();
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

/** A soft major chord on this root. */
function chord(audio: AudioContext, rootHertz: number): MediaStreamTrack[] {
  const target = audio.createMediaStreamDestination();
  const volume = audio.createGain();
  volume.gain.value = GAIN;
  volume.connect(target);
  for (const ratio of [1, 1.25, 1.5]) {
    const tone = audio.createOscillator();
    tone.frequency.value = rootHertz * ratio;
    tone.connect(volume);
    tone.start();
  }
  return target.stream.getAudioTracks();
}

function draw(brush: CanvasRenderingContext2D, hue: number, t: number): void {
  const sky = brush.createLinearGradient(0, 0, WIDTH, HEIGHT);
  sky.addColorStop(0, `hsl(${hue + 20 * Math.sin(t / 3)} 62% 78%)`);
  sky.addColorStop(1, `hsl(${hue + 70} 58% 62%)`);
  brush.fillStyle = sky;
  brush.fillRect(0, 0, WIDTH, HEIGHT);

  for (let n = 0; n < 9; n += 1) {
    const x = ((n * 97 + t * (14 + n * 3)) % (WIDTH + 120)) - 60;
    const y = HEIGHT / 2 + Math.sin(t * 0.7 + n * 1.7) * (HEIGHT / 2.4);
    disc(brush, x, y, 14 + ((n * 13) % 34), `hsl(${hue + n * 22} 75% 82% / 0.45)`);
  }

  const x = WIDTH / 2 + Math.sin(t * 0.8) * 36;
  const y = HEIGHT / 2 + 28 + Math.sin(t * 1.9) * 12;
  const tilt = Math.sin(t * 0.6) * 0.09;
  brush.save();
  brush.translate(x, y);
  brush.rotate(tilt);
  oval(brush, 0, 250, 190, 150, `hsl(${hue + 190} 48% 42%)`);
  const hair = `hsl(${hue + 215} 40% 26%)`;
  oval(brush, 0, -34, 140, 128, hair);
  oval(brush, 0, 0, 122, 138, `hsl(${hue + 30} 70% 88%)`);
  oval(brush, -38, -116, 74, 34, hair);
  oval(brush, 52, -112, 66, 28, hair);
  face(brush, hue, t);
  brush.restore();
}

function face(brush: CanvasRenderingContext2D, hue: number, t: number): void {
  const ink = `hsl(${hue + 210} 45% 20%)`;
  const open = t % 3.7 < 0.16 ? 0.08 : 1;
  const look = Math.sin(t * 0.9) * 9;
  for (const side of [-1, 1]) {
    oval(brush, side * 44, -22, 21, 25 * open, "#fff");
    if (open === 1) disc(brush, side * 44 + look, -20, 10, ink);
    oval(brush, side * 66, 30, 19, 11, `hsl(${hue + 350} 85% 72% / 0.6)`);
  }
  const smile = 18 + Math.sin(t * 2.3) * 10;
  brush.strokeStyle = ink;
  brush.lineWidth = 7;
  brush.lineCap = "round";
  brush.beginPath();
  brush.moveTo(-34, 46);
  brush.quadraticCurveTo(0, 46 + smile, 34, 46);
  brush.stroke();
}

function disc(brush: CanvasRenderingContext2D, x: number, y: number, r: number, fill: string) {
  oval(brush, x, y, r, r, fill);
}

function oval(
  brush: CanvasRenderingContext2D,
  x: number,
  y: number,
  rx: number,
  ry: number,
  fill: string,
): void {
  brush.fillStyle = fill;
  brush.beginPath();
  brush.ellipse(x, y, rx, ry, 0, 0, Math.PI * 2);
  brush.fill();
}
