// The drags of mouse and fingers: one tool for the left button or one finger, pan and zoom always at hand.

import {
  addTool, Enums, LengthTool, PanTool, ProbeTool, StackScrollTool, ToolGroupManager, WindowLevelTool, ZoomTool,
} from '@cornerstonejs/tools';
import { huAt } from './images.js';

const TOOLS = {
  window: WindowLevelTool, scroll: StackScrollTool, pan: PanTool, zoom: ZoomTool, length: LengthTool, probe: ProbeTool,
};
const { MouseBindings } = Enums;
const ALWAYS = {
  pan: [{ mouseButton: MouseBindings.Auxiliary }],
  zoom: [{ mouseButton: MouseBindings.Secondary }, { numTouchPoints: 2 }],
};
const OPTIONS = {
  probe: {
    getTextLines: ({ handles }, targetId) => {
      const hu = huAt(targetId.replace(/^imageId:/, ''), handles.points[0]);
      return hu === undefined ? [] : [`${hu} HU`];
    },
  },
};
const HELD = ['length', 'probe']; // what was measured stays and can be moved

export function makeTools() {
  const group = ToolGroupManager.createToolGroup('studies');
  for (const [name, tool] of Object.entries(TOOLS)) {
    addTool(tool);
    group.addTool(tool.toolName, OPTIONS[name]);
  }
  return group;
}

export function chooseTool(group, chosen) {
  for (const [name, { toolName }] of Object.entries(TOOLS)) {
    const bindings = [...(name === chosen ? [{ mouseButton: MouseBindings.Primary }] : []), ...(ALWAYS[name] ?? [])];
    if (bindings.length) group.setToolActive(toolName, { bindings });
    else if (HELD.includes(name)) group.setToolPassive(toolName, { removeAllBindings: true });
    else group.setToolDisabled(toolName);
  }
}
