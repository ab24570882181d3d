"""Pictures of slice views, drawn by MRML's own slice pipeline and displayable managers into an off-screen window.

Nothing here imitates Slicer's drawing; what differs from the application is the frame around the view (controller bar,
corner annotations). An array is rows from top to bottom, columns from left to right, RGB, uint8.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if "DISPLAY" not in os.environ:  # otherwise VTK tries X first and warns
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

# The last two hold the interactions of a view: slices, zoom, pan and blend; window and level.
MANAGERS = (
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
)


def _register_managers() -> Any:
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    for manager in MANAGERS:
        if not factory.IsDisplayableManagerRegistered(manager):
            factory.RegisterDisplayableManager(manager)
    return factory


class SliceView:
    """One off-screen view of a slice node, with Slicer's own interactions on its `interactor`.

    The window exists only between construction and `close`; use as a context manager. Rendering happens in `render`
    alone, never while nodes change, because each render of a software renderer takes some 50 ms. `on_change` is called
    when something that the view shows has changed.
    """

    def __init__(
        self, slice_node: Any, size: tuple[int, int] = (400, 400), on_change: Callable[[], None] | None = None
    ) -> None:
        self.slice_node = slice_node
        self.logic, self._own_logic = self._find_logic(slice_node)
        self._size_before = slice_node.GetDimensions()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.EnableRenderOff()  # displayable managers ask for a render at each change of a node
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self.interactor.SetSize(*size)
        self._add_image()
        self.managers = _register_managers().InstantiateDisplayableManagers(self.renderer)
        self.managers.SetMRMLDisplayableNode(slice_node)
        self.interactor_observer = slicer.vtkMRMLSliceViewInteractorStyle()
        self.interactor_observer.SetInteractor(self.interactor)
        self.interactor_observer.SetSliceLogic(self.logic)
        self.interactor_observer.SetDisplayableManagers(self.managers)
        self.interactor.Initialize()
        self.logic.ResizeSliceNode(*size)
        self._observed = [
            (source, source.AddObserver(event, lambda _caller, _event: on_change()))
            for source, event in ((self.managers, "UpdateEvent"), (self.logic, "ModifiedEvent"))
            if on_change is not None
        ]

    def resize(self, width: int, height: int) -> None:
        """Give the view another size in pixels; what is in its middle stays there."""
        self.window.SetSize(width, height)
        self.interactor.UpdateSize(width, height)
        self.logic.ResizeSliceNode(width, height)

    @staticmethod
    def _find_logic(slice_node: Any) -> tuple[Any, bool]:
        app_logic = slicer.app.applicationLogic()
        logic = app_logic.GetSliceLogic(slice_node)
        if logic is not None:
            return logic, False
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(app_logic)
        logic.SetMRMLScene(slice_node.GetScene())
        logic.SetSliceNode(slice_node)
        app_logic.GetSliceLogics().AddItem(logic)
        return logic, True

    def _add_image(self) -> None:
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(self.logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)
        self._image_actor, self._mapper = actor, mapper

    def render(self) -> np.ndarray:
        """Draw the view as the nodes are now; array (height, width, 3)."""
        self.logic.UpdatePipeline()
        has_image = self.logic.GetImageDataConnection() is not None
        self._image_actor.SetVisibility(has_image)
        if has_image:
            self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        self.window.Render()
        width, height = self.window.GetSize()
        pixels = vtk.vtkUnsignedCharArray()
        self.window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, pixels)
        return numpy_support.vtk_to_numpy(pixels).reshape(height, width, 4)[::-1, :, :3].copy()

    def pixel(self, ras: Sequence[float]) -> tuple[int, int]:
        """Row and column of the array at which a point (RAS mm) is seen."""
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.slice_node.GetXYToRAS(), inverse)
        x, y, *_ = inverse.MultiplyPoint((*ras, 1.0))
        return self.window.GetSize()[1] - 1 - round(y), round(x)

    def close(self) -> None:
        """Let go of the window and of every observer of the scene."""
        for source, tag in self._observed:
            source.RemoveObserver(tag)
        self._observed = []
        self.interactor_observer.SetInteractor(None)
        self.interactor_observer.SetSliceLogic(None)
        self.managers.SetMRMLDisplayableNode(None)
        self.renderer.RemoveAllViewProps()
        self.window.Finalize()
        if self._own_logic:
            slicer.app.applicationLogic().GetSliceLogics().RemoveItem(self.logic)
            self.logic.SetMRMLScene(None)
        else:
            self.logic.ResizeSliceNode(*self._size_before[:2])

    def __enter__(self) -> SliceView:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextmanager
def _picture_node(scene: Any, orientation: str) -> Iterator[Any]:
    """A slice node for one picture; afterwards it and all nodes that came with it leave the scene."""
    before = {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    node = logic.AddSliceNode(scene.GenerateUniqueName(f"Picture{orientation}"))
    logic.SetMRMLScene(None)
    node.SetOrientation(orientation)
    try:
        yield node
    finally:
        for added in [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())]:
            if added.GetID() not in before:
                scene.RemoveNode(added)


def render_slice(
    scene: Any,
    orientation: str,
    background: Any,
    foreground: Any = None,
    opacity: float = 0.5,
    center: Sequence[float] | None = None,
    field_of_view: float | None = None,
    size: tuple[int, int] = (400, 400),
    slab_mm: float | None = None,
) -> np.ndarray:
    """One slice with everything the scene shows in it.

    orientation: "Axial", "Coronal", "Sagittal".
    background, foreground: volume nodes; opacity of the foreground from 0 to 1.
    center: point (RAS mm) in the middle of the view, default the middle of the background.
    field_of_view: width of the view in mm, default such that the background fits.
    size: width and height in pixels.
    slab_mm: maximum over a slab of this thickness instead of a slice.
    """
    with _picture_node(scene, orientation) as node, SliceView(node, size) as view:
        composite = view.logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
        composite.SetForegroundOpacity(opacity if foreground is not None else 0.0)
        _aim(view, background, center, field_of_view)
        if slab_mm is not None:
            node.SetSlabReconstructionEnabled(True)
            node.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
            node.SetSlabReconstructionThickness(slab_mm)
        return view.render()


def render_mip(scene: Any, volume: Any, orientation: str = "Coronal", **options: Any) -> np.ndarray:
    """Maximum intensity projection through the whole volume; `options` as in `render_slice`."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    depth = max(bounds[1] - bounds[0], bounds[3] - bounds[2], bounds[5] - bounds[4])
    return render_slice(scene, orientation, volume, slab_mm=depth, **options)


def render_view(slice_node: Any, size: tuple[int, int] = (400, 400)) -> np.ndarray:
    """An existing slice view as it stands, drawn at the given size with its field of view kept."""
    with SliceView(slice_node, size) as view:
        return view.render()


def _aim(view: SliceView, volume: Any, center: Sequence[float] | None, field_of_view: float | None) -> None:
    view.logic.FitSliceToBackground()
    node = view.slice_node
    if center is None:
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        center = [(bounds[i] + bounds[i + 1]) / 2 for i in (0, 2, 4)]
    node.JumpSliceByCentering(*center)
    if field_of_view is not None:
        width, height = view.window.GetSize()
        node.SetFieldOfView(field_of_view, field_of_view * height / width, node.GetFieldOfView()[2])
    node.UpdateMatrices()


def save_png(pixels: np.ndarray, path: Path) -> Path:
    """Write an array of `render_…` as PNG."""
    height, width, _ = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    flat = np.ascontiguousarray(pixels[::-1]).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()
    return path
