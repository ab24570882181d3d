"""The host's parameterNodeWrapper stores what Slicer's stores, under the same names."""

import enum
from pathlib import Path
from typing import Annotated, Any, Optional

import pytest


class Mode(enum.Enum):
    PET = 1
    CT = 2


@pytest.fixture
def node(scene: Any) -> Any:
    return scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def parameters(slicer_core: Any, node: Any) -> Any:
    from slicer.parameterNodeWrapper import Choice, Default, Minimum, WithinRange, parameterNodeWrapper

    class Parameters:  # annotated without "from __future__", because the classes are local names here
        threshold: Annotated[float, WithinRange(0, 50)] = 3.0
        count: Annotated[int, Minimum(1)] = 2
        method: Annotated[str, Choice(["rules", "network"])] = "rules"
        note: Annotated[str, Default("none")]
        follow: bool = True
        folder: Path
        mode: Mode = Mode.CT
        names: list[str]
        limit: Optional[float]  # noqa: UP045  (Slicer's wrapper does not know X | None)
        volume: slicer_core.vtkMRMLScalarVolumeNode

    return parameterNodeWrapper(Parameters)(node)


def test_defaults_are_written_at_once(parameters: Any, node: Any) -> None:
    assert (parameters.threshold, parameters.count, parameters.method, parameters.note) == (3.0, 2, "rules", "none")
    assert (parameters.follow, parameters.folder, parameters.mode) == (True, Path(), Mode.CT)
    assert (parameters.names, parameters.limit, parameters.volume) == ([], None, None)
    assert node.GetParameter("threshold") == "3.0"
    assert node.GetParameter("follow") == "True"
    assert node.GetParameter("mode") == "CT"
    assert node.GetParameter("names_len") == "0"


def test_values_come_back_in_their_types(slicer_core: Any, parameters: Any, node: Any) -> None:
    volume = slicer_core.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    parameters.threshold, parameters.count, parameters.mode = 4, 7, Mode.PET
    parameters.folder, parameters.volume, parameters.limit = Path("/data"), volume, 2.5
    parameters.names = ["L01", "L02"]
    parameters.names.append("L03")
    other = type(parameters)(node)
    assert (other.threshold, other.count, other.mode) == (4.0, 7, Mode.PET)
    assert (other.folder, other.volume, other.limit) == (Path("/data"), volume, 2.5)
    assert other.names == ["L01", "L02", "L03"]
    assert node.GetNodeReferenceID("volume") == volume.GetID()
    other.limit = None
    assert parameters.limit is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("threshold", 51.0, ValueError),
        ("threshold", "3", TypeError),
        ("count", 0, ValueError),
        ("count", 1.5, TypeError),
        ("method", "magic", ValueError),
        ("follow", None, TypeError),
        ("folder", "/data", TypeError),
        ("limit", "high", TypeError),
        ("names", [1], TypeError),
        ("volume", "PET", TypeError),
    ],
)
def test_wrong_value_is_refused_and_changes_nothing(parameters: Any, name: str, value: Any, error: type) -> None:
    before = getattr(parameters, name)
    with pytest.raises(error):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_observers_hear_of_changes(parameters: Any) -> None:
    import vtk

    calls: list[str] = []
    tag = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: calls.append(event))
    parameters.count = 5
    parameters.count = 5  # no change, no event
    assert calls == ["ModifiedEvent"]
    modifying = parameters.StartModify()
    parameters.count, parameters.threshold = 6, 7.0
    parameters.EndModify(modifying)
    assert len(calls) == 2
    parameters.RemoveObserver(tag)
    parameters.count = 9
    assert len(calls) == 2


def test_removed_node_is_none(slicer_core: Any, parameters: Any) -> None:
    parameters.volume = slicer_core.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer_core.mrmlScene.RemoveNode(parameters.volume)
    assert parameters.volume is None


def test_parameters_survive_a_saved_scene(slicer_core: Any, parameters: Any, node: Any, tmp_path: Path) -> None:
    parameters.names, parameters.mode = ["a b", "c;d"], Mode.PET
    node.SetName("kept")
    slicer_core.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer_core.mrmlScene.Commit()
    slicer_core.mrmlScene.Clear(False)
    slicer_core.mrmlScene.Connect()
    restored = type(parameters)(slicer_core.util.getNode("kept"))
    assert restored.names == ["a b", "c;d"]
    assert restored.mode is Mode.PET


def test_pack_stores_every_change_of_its_fields(slicer_core: Any, node: Any) -> None:
    from slicer.parameterNodeWrapper import parameterNodeWrapper, parameterPack

    @parameterPack
    class Window:
        center: float = 5.0
        width: float = 10.0

    @parameterNodeWrapper
    class Parameters:
        window: Window

    parameters = Parameters(node)
    parameters.window.width = 20.0
    assert parameters.window == Window(center=5.0, width=20.0)
    assert node.GetParameter("window.width") == "20.0"
    with pytest.raises(AttributeError):
        parameters.window.height = 3.0


@pytest.mark.parametrize("kind", [complex, float | None, dict])
def test_types_that_slicer_cannot_store_are_refused(slicer_core: Any, kind: Any) -> None:
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Parameters:
        value: kind

    with pytest.raises(TypeError):
        parameterNodeWrapper(Parameters)


def test_reserved_name_is_refused(slicer_core: Any) -> None:
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Parameters:
        default: float

    with pytest.raises(ValueError, match="reserved"):
        parameterNodeWrapper(Parameters)
