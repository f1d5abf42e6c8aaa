// Where a slice of one study lies in another study of the same head. Heights cannot be compared between two scans: each
// counts from where its table stood. How much of each slice is head rises and falls along the head, so the two courses
// are laid over each other.

const STEP_MM = 1;
const LEAST_SHARED = 0.5; // of the shorter scan

// What to add to a height of `from` to be at the same place in `to`, in millimetres; 0 where nothing can be told.
// Both are [{ heightMm, headMm2 }, ...] in the order of the slices.
export function shiftMm(from, to) {
  if (![from, to].every((course) => course.length > 1 && course.every(known))) return 0;
  const extents = [from, to].map((course) => ends(course)[1] - ends(course)[0]);
  const shared = LEAST_SHARED * Math.min(...extents);
  const lowest = ends(to)[0] + shared - ends(from)[1];
  const highest = ends(to)[1] - shared - ends(from)[0];
  let best = { shift: 0, cost: difference(from, to, 0) };
  for (let shift = Math.ceil(lowest); shift <= highest; shift += STEP_MM) {
    const cost = difference(from, to, shift);
    if (cost < best.cost) best = { shift, cost };
  }
  return best.shift;
}

const known = ({ heightMm, headMm2 }) => Number.isFinite(heightMm) && Number.isFinite(headMm2);

function ends(course) {
  const heights = course.map(({ heightMm }) => heightMm);
  return [Math.min(...heights), Math.max(...heights)];
}

// The mean difference of the areas where the two overlap; more the less they do. Infinite where they do not.
function difference(from, to, shift) {
  let sum = 0, count = 0;
  for (const { heightMm, headMm2 } of from) {
    const other = areaAt(to, heightMm + shift);
    if (other === undefined) continue;
    sum += Math.abs(headMm2 - other);
    count += 1;
  }
  return count ? ((sum / count + 1) * from.length) / count : Infinity;
}

function areaAt(course, heightMm) {
  for (let place = 0; place + 1 < course.length; place++) {
    const [one, next] = [course[place], course[place + 1]];
    const share = (heightMm - one.heightMm) / (next.heightMm - one.heightMm);
    if (share >= 0 && share <= 1) return one.headMm2 + share * (next.headMm2 - one.headMm2);
  }
  return undefined;
}
