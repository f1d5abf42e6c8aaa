// Takes files dropped anywhere on any page: left to itself the browser would open them in place of the page. Slices are
// read at once; a folder or an archive is put into the form of whole studies and waits there, since studies are kept.

const ARCHIVE = /\.(zip|nii|nii\.gz)$/i;

export function acceptDrops(told) {
  const mark = (over) => document.querySelector('[data-drop]')?.classList.toggle('over', over);
  const onPage = (name, act) => document.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    act(event.dataTransfer, event);
  });
  onPage('dragover', () => mark(true));
  onPage('dragleave', (_, event) => { if (!event.relatedTarget) mark(false); });
  onPage('drop', (dropped) => {
    mark(false);
    // What was dropped can be asked for now only, not after a wait.
    const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...dropped.files];
    const folder = entries.find((entry) => entry.isDirectory);
    const sending = document.querySelector('form.sending');
    if (sending && (folder || files.some((file) => ARCHIVE.test(file.name)))) offerStudy(sending, entries, files);
    else readSlices(document.querySelector('form.upload'), dropped.files, folder, told);
  });
}

async function offerStudy(form, entries, files) {
  const status = form.querySelector('[data-status]');
  status.scrollIntoView({ block: 'center' });
  if (form.hasAttribute('aria-busy')) return;
  const chosen = new DataTransfer();
  try {
    const found = entries.length ? (await Promise.all(entries.map(filesIn))).flat() : files;
    for (const file of found) chosen.items.add(file);
  } catch {
    status.textContent = 'The folder could not be looked into. Choose it with the button instead.';
    return;
  }
  for (const other of form.querySelectorAll('input[type=file]')) other.value = '';
  const input = form.querySelector('input[type=file]');
  input.files = chosen.files;
  input.dispatchEvent(new Event('change'));
  form.querySelector('.primary').focus({ preventScroll: true });
}

// All files of a dropped entry, those of its folders too.
async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a folder is told in pieces, and an empty one ends it
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return found;
    found.push(...(await Promise.all(entries.map(filesIn))).flat());
  }
}

function readSlices(form, files, folder, told) {
  const status = form?.querySelector('[data-status]') ?? told;
  status.textContent = refusalOf(form, folder);
  if (status.textContent) {
    status.scrollIntoView({ block: 'nearest' });
    return;
  }
  const input = form.querySelector('input[type=file]');
  input.files = files;
  input.dispatchEvent(new Event('change'));
  form.requestSubmit(form.querySelector('.primary'));
}

function refusalOf(form, folder) {
  if (!form) return 'Files are read on the page “Read”: drop them there.';
  if (form.hasAttribute('aria-busy')) return 'Files are being read. Wait for the answer, or cancel it, and drop the others again.';
  return folder ? `${folder.name} is a folder. Whole studies are sent from the page “Read”.` : '';
}
