// Slices for Cornerstone3D: an image loader, and the metadata that its viewports and tools ask for.

import { cache, imageLoader, metaData, utilities } from '@cornerstonejs/core';
import { WINDOWS } from './windows.js';

const SCHEME = 'hemoscope';
const studies = new Map();

export function registerImages() {
  imageLoader.registerImageLoader(SCHEME, (imageId) => ({ promise: load(imageId) }));
  metaData.addProvider(factsOf, 1000);
}

// The image ids of a study's slices, in their order.
export function imageIdsOf(study) {
  studies.set(study.outline.key, study);
  return study.outline.slices.map(({ number }) => `${SCHEME}:${study.outline.key}#${number}`);
}

// The Hounsfield units under a point of the patient on a slice that is loaded; undefined outside it. Cornerstone3D's own
// probe looks in the stack's place of a slice within the slice itself.
export function huAt(imageId, point) {
  const image = cache.getImage(imageId);
  const { rowCosines, columnCosines, imagePositionPatient: origin, rowPixelSpacing, columnPixelSpacing } =
    factsOf('imagePlaneModule', imageId);
  const along = (cosines) => cosines.reduce((sum, part, axis) => sum + part * (point[axis] - origin[axis]), 0);
  // Drawn on the processor, a pixel begins at its position.
  const column = Math.floor(along(rowCosines) / columnPixelSpacing + 1e-6);
  const row = Math.floor(along(columnCosines) / rowPixelSpacing + 1e-6);
  const within = image && row >= 0 && row < image.rows && column >= 0 && column < image.columns;
  return within ? image.getPixelData()[row * image.columns + column] : undefined;
}

function parse(imageId) {
  const [, key, number] = /^hemoscope:(.+)#(\d+)$/.exec(imageId) ?? [];
  return { study: studies.get(key), number: Number(number) };
}

async function load(imageId) {
  const { study, number } = parse(imageId);
  const { rows, columns, spacing_mm: spacing } = study.outline;
  const pixels = await study.hu(number);
  if (pixels.length !== rows * columns) throw new Error('the slice came incomplete');
  let lowest = pixels[0], highest = pixels[0];
  for (const hu of pixels) {
    if (hu < lowest) lowest = hu;
    if (hu > highest) highest = hu;
  }
  const manager = utilities.VoxelManager.createImageVoxelManager({
    width: columns, height: rows, numberOfComponents: 1, scalarData: pixels,
  });
  return {
    imageId, rows, columns, height: rows, width: columns,
    rowPixelSpacing: spacing?.[0], columnPixelSpacing: spacing?.[1],
    minPixelValue: lowest, maxPixelValue: highest,
    slope: 1, intercept: 0, windowCenter: WINDOWS[0].level, windowWidth: WINDOWS[0].width,
    color: false, rgba: false, invert: false, numberOfComponents: 1,
    dataType: 'Int16Array', sizeInBytes: pixels.byteLength,
    voxelManager: manager, getPixelData: () => pixels,
  };
}

function factsOf(kind, imageId) {
  if (typeof imageId !== 'string' || !imageId.startsWith(`${SCHEME}:`)) return undefined;
  const { study, number } = parse(imageId);
  const { rows, columns, spacing_mm: spacing, orientation } = study.outline;
  const [a, b, c, d, e, f] = orientation ?? [1, 0, 0, 0, 1, 0];
  switch (kind) {
    case 'imagePixelModule':
      return {
        rows, columns, bitsAllocated: 16, bitsStored: 16, highBit: 15, pixelRepresentation: 1, samplesPerPixel: 1,
        photometricInterpretation: 'MONOCHROME2',
      };
    case 'imagePlaneModule':
      return {
        rows, columns, rowCosines: [a, b, c], columnCosines: [d, e, f],
        imageOrientationPatient: [a, b, c, d, e, f],
        imagePositionPatient: study.slice(number).position_mm ?? [0, 0, number],
        // A file without spacing is measured in pixels, and the tools say so.
        rowPixelSpacing: spacing?.[0] ?? 1, columnPixelSpacing: spacing?.[1] ?? 1, usingDefaultValues: !spacing,
        frameOfReferenceUID: study.outline.key,
      };
    case 'generalSeriesModule':
      return { modality: 'CT' };
    case 'modalityLutModule':
      return { rescaleSlope: 1, rescaleIntercept: 0, rescaleType: 'HU' };
    default:
      return undefined;
  }
}
