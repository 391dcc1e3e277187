"""What is read from the system's files, on systems other than this one too."""

from pathlib import Path

import pytest

from loralab_core.hardware.memory import cgroup_memory, cpu_quota
from loralab_core.hardware.probe import cpu_isa, cpu_name, find_gpus, survey, torch_version
from loralab_core.hardware.use import UseMeter

X86 = "model name\t: AMD EPYC 9755\nflags\t\t: fpu avx2 fma avx512f avx512_bf16 amx_tile unheard_of\n" * 2
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n"


def test_the_processor() -> None:
    assert cpu_name(X86) == "AMD EPYC 9755"
    assert set(cpu_isa(X86)) == {"avx2", "fma", "avx512f", "avx512_bf16", "amx_tile"}
    assert set(cpu_isa(ARM)) == {"asimd", "asimddp", "i8mm", "bf16"}


def group(path: Path, **files: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)


def test_the_lowest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    group(tmp_path / "a", memory__max="1000\n", memory__current="700\n", memory__stat="anon 1\ninactive_file 200\n")
    group(tmp_path / "a" / "b", memory__max="max\n", memory__current="1\n")
    assert cgroup_memory(tmp_path, "0::/a/b\n") == (1000, 500)


def test_no_limit_is_none(tmp_path: Path) -> None:
    group(tmp_path / "a", memory__max="max\n")
    assert cgroup_memory(tmp_path, "0::/a\n") == (None, 0)
    assert cgroup_memory(tmp_path, "") == (None, 0)


def test_inside_a_container_its_own_root_counts(tmp_path: Path) -> None:
    group(tmp_path, memory__max="1000\n", memory__current="300\n")
    assert cgroup_memory(tmp_path, "0::/docker/4711\n") == (1000, 300)


def test_version_1_of_control_groups(tmp_path: Path) -> None:
    group(tmp_path / "memory" / "job", memory__limit_in_bytes="500\n", memory__usage_in_bytes="100\n")
    group(tmp_path / "memory", memory__limit_in_bytes="9223372036854771712\n", memory__usage_in_bytes="100\n")
    assert cgroup_memory(tmp_path, "4:memory:/job\n1:cpu:/job\n") == (500, 100)


@pytest.mark.parametrize(("content", "processors"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", None)])
def test_processor_quota(tmp_path: Path, content: str, processors: int | None) -> None:
    group(tmp_path, cpu__max=content)
    assert cpu_quota(tmp_path) == processors


def test_what_torch_was_built_for_without_importing_it() -> None:
    cpu = torch_version("__version__ = '2.13.0+cpu'\ndebug = False\ncuda: Optional[str] = None\n")
    assert cpu is not None and (cpu.version, cpu.cuda) == ("2.13.0+cpu", None)
    cuda = torch_version("__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\n")
    assert cuda is not None and cuda.cuda == "13.0"
    assert torch_version("") is None


def test_this_computer() -> None:
    found = survey()
    assert found.cpu.cores >= 1 and found.cpu.threads >= found.cpu.cores
    assert 0 < found.memory.available <= found.memory.total
    assert found.torch is not None


def test_live_use_of_a_process_that_exists_and_one_that_does_not() -> None:
    meter = UseMeter()
    assert meter.read().process_memory is None
    meter.watch(1)
    assert meter.read().memory_total > 0
    meter.watch(2**22 + 1)
    assert meter.read().process_memory is None


def test_live_use_counts_the_gpus_that_torch_will_see(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = find_gpus()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(gpu.uuid for gpu in reversed(gpus)))
    assert [gpu.index for gpu in UseMeter().read().gpus] == [gpu.index for gpu in reversed(gpus)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert UseMeter().read().gpus == ()
