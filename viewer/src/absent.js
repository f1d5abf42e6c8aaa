// Stands where a package is left out of the bundle (build.mjs says which and why).

export function create() {
  throw new Error('meshes in XML are left out of this bundle');
}
