// The edge of a mask as a path along the borders of its pixels.

// Line segments [x0, y0, x1, y1] in pixels, one for each run of a border; codes other than 0 are inside.
export function edgesOf(codes, rows, columns) {
  const inside = (row, column) =>
    row >= 0 && row < rows && column >= 0 && column < columns && codes[row * columns + column] > 0;
  const edges = [];
  for (let row = 0; row <= rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (inside(row - 1, column) === inside(row, column)) continue;
      const start = column;
      while (column + 1 < columns && inside(row - 1, column + 1) !== inside(row, column + 1)) column++;
      edges.push([start, row, column + 1, row]);
    }
  }
  for (let column = 0; column <= columns; column++) {
    for (let row = 0; row < rows; row++) {
      if (inside(row, column - 1) === inside(row, column)) continue;
      const start = row;
      while (row + 1 < rows && inside(row + 1, column - 1) !== inside(row + 1, column)) row++;
      edges.push([column, start, column, row + 1]);
    }
  }
  return edges;
}
