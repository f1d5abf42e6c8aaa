// The windows by number key: level and width in Hounsfield units.

export const WINDOWS = [
  { key: '1', name: 'Brain', level: 40, width: 80 },
  { key: '2', name: 'Subdural', level: 80, width: 200 },
  { key: '3', name: 'Stroke', level: 32, width: 8 },
  { key: '4', name: 'Bone', level: 600, width: 2800 },
  { key: '5', name: 'Soft tissue', level: 40, width: 380 },
];

export const rangeOf = ({ level, width }) => ({ lower: level - width / 2, upper: level + width / 2 });

export const windowOf = ({ lower, upper }) => ({ level: Math.round((lower + upper) / 2), width: Math.round(upper - lower) });

export const nameOf = ({ level, width }) =>
  WINDOWS.find((one) => one.level === level && one.width === width)?.name ?? 'Own window';
