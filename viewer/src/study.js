// One study on the server: its outline, and pixels by a slice's number, counted from 1.

export async function openStudy(address) {
  const outline = await (await answer(`${address}study.json`)).json();
  return new Study(address, outline);
}

export class Study {
  #masks = new Map();
  #heats = new Map();

  constructor(address, outline) {
    this.address = address;
    this.outline = outline;
  }

  get count() { return this.outline.slices.length; }

  slice(number) { return this.outline.slices[number - 1]; }

  // Int16Array of Hounsfield units, row by row. The server and every browser count bytes from the lowest.
  async hu(number) {
    return new Int16Array(await (await answer(`${this.address}slices/${number}`)).arrayBuffer());
  }

  // Uint8Array of codes, or null where there is no blood to show.
  mask(number) {
    if (!this.outline.mask || !this.slice(number).area_px) return Promise.resolve(null);
    return kept(this.#masks, number, async () =>
      new Uint8Array(await (await answer(`${this.address}masks/${number}`)).arrayBuffer()));
  }

  heat(number) {
    if (!this.slice(number).heat) return Promise.resolve(null);
    return kept(this.#heats, number, async () =>
      createImageBitmap(await (await answer(`${this.address}heats/${number}.png`)).blob()));
  }

  // The number of the slice that lies nearest to a height along the normal, in millimetres.
  nearest(heightMm) {
    const distances = this.outline.slices.map((one) => Math.abs(heightOf(this.outline, one) - heightMm));
    return 1 + distances.indexOf(Math.min(...distances));
  }

  // The shift of the midline where it is drawn on that slice, or undefined.
  midline(number) {
    const { midline } = this.outline;
    return midline?.number === number ? midline : undefined;
  }

  // How much of each slice is head, from slice to slice.
  get course() {
    return this.outline.slices.map((one) => ({ heightMm: heightOf(this.outline, one), headMm2: one.head_mm2 ?? NaN }));
  }

  heightMm(number) { return heightOf(this.outline, this.slice(number)); }
}

// How far a slice lies along the normal of the stack, in millimetres; NaN where the file does not say.
export function heightOf({ orientation }, { position_mm: position }) {
  if (!orientation || !position) return NaN;
  const [a, b, c, d, e, f] = orientation;
  const normal = [b * f - c * e, c * d - a * f, a * e - b * d];
  return normal.reduce((sum, part, axis) => sum + part * position[axis], 0);
}

function kept(store, number, load) {
  if (!store.has(number)) {
    const loading = load();
    loading.catch(() => store.delete(number)); // so that the next try asks again
    store.set(number, loading);
  }
  return store.get(number);
}

async function answer(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response;
}
