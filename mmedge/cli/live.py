"""Live on the command line: serve, record, devices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmedge.cli.live_options import (
    EVENTS,
    HOW,
    WHERE,
    BundleOpt,
    CameraOpt,
    ChannelsOpt,
    CropOpt,
    FlipOpt,
    FormatOpt,
    LinesOpt,
    LoopOpt,
    LossyOpt,
    MicOpt,
    PlayOpt,
    RateOpt,
    RotateOpt,
    SignalOpt,
    SizeOpt,
    StreamOpt,
    TextOpt,
    inputs_of,
    kept_in,
    option,
    pairs,
    source,
)
from mmedge.cli.options import BackendOpt, DownmixOpt, JsonOpt, PlanOpt
from mmedge.errors import ProofError

if TYPE_CHECKING:
    from mmedge.bundle import Bundle

__all__ = ["devices", "record", "serve"]

_DEMO = Path(__file__).parents[1] / "demo" / "digits.mmedge"


def serve(  # one option for each field of the frozen configurations
    bundle: BundleOpt = None,
    camera: CameraOpt = None,
    mic: MicOpt = None,
    stream: StreamOpt = None,
    play: PlayOpt = None,
    loop: LoopOpt = False,
    text: TextOpt = None,
    lines: LinesOpt = None,
    signal: SignalOpt = None,
    camera_size: SizeOpt = "",
    camera_rate: RateOpt = None,
    camera_format: FormatOpt = "",
    rotate: RotateOpt = 0,
    flip: FlipOpt = "none",
    crop: CropOpt = "",
    mic_channels: ChannelsOpt = "",
    as_json: JsonOpt = False,
    only_events: Annotated[
        bool, option(WHERE, "With --json and --jsonl: only what began or ended.", "--only-events")
    ] = False,
    show: Annotated[bool, option(WHERE, "A window with the picture.", "--show")] = False,
    jsonl: Annotated[Path | None, option(WHERE, "Rotated files of JSON lines.")] = None,
    metrics_file: Annotated[
        Path | None, option(WHERE, "NAME.prom for node_exporter's textfile collector.")
    ] = None,
    http: Annotated[
        str | None, option(WHERE, "[HOST:]PORT for health, metrics and a WebSocket.")
    ] = None,
    http_token: Annotated[Path | None, option(WHERE, "File that holds the token.")] = None,
    record_to: Annotated[
        Path | None, option(WHERE, "Record to NAME.recording.", "--record")
    ] = None,
    record_max_bytes: Annotated[int, option(WHERE, "The recording ends at this size.")] = 4 * 2**30,
    record_max_s: Annotated[float, option(WHERE, "... or after so many seconds.")] = 3600,
    record_lossy: LossyOpt = False,
    fuse: Annotated[
        str, option(HOW, "'each' new embedding, 'all' new, or the modality that drives.")
    ] = "each",
    tolerance_ms: Annotated[int, option(HOW, "How far apart capture times may lie.")] = 500,
    max_age_ms: Annotated[
        list[str] | None, option(HOW, "NAME=MS after which a modality is absent.")
    ] = None,
    max_rate_hz: Annotated[
        list[str] | None, option(HOW, "NAME=HZ: its encoder runs at most so often.")
    ] = None,
    prompts: Annotated[list[str] | None, option(HOW, "A text to choose from; repeat it.")] = None,
    template: Annotated[
        list[str] | None, option(HOW, "Sentence around each prompt, with {}; repeat it: the mean.")
    ] = None,
    explain: Annotated[bool, option(HOW, "Contributions and conflict.")] = True,
    threads: Annotated[int | None, option(HOW, "CPU threads of one operator.")] = None,
    downmix: DownmixOpt = None,
    backend: BackendOpt = "auto",
    plan: PlanOpt = "auto",
    begin: Annotated[float, option(EVENTS, "Smoothed score from which a label begins.")] = 0.7,
    end: Annotated[float, option(EVENTS, "... and below which it ends.")] = 0.4,
    smooth_ms: Annotated[int, option(EVENTS, "Time constant of the smoothing.")] = 300,
    debounce_ms: Annotated[int, option(EVENTS, "For so long beyond the threshold.")] = 200,
    hold_ms: Annotated[int, option(EVENTS, "An event lasts at least so long.")] = 300,
    abstain: Annotated[float | None, option(EVENTS, "No label below this smoothed score.")] = None,
    recording: Annotated[Path | None, source("NAME.recording, instead of live sources.")] = None,
    replay: Annotated[
        str, source("'as-run' repeats the live decisions; 'ideal' drops nothing.")
    ] = "ideal",
    for_s: Annotated[float | None, typer.Option("--for", help="End after so many seconds.")] = None,
) -> None:
    """Predict live from cameras, microphones, texts and signals, until it is told to end.

    SIGTERM ends it with exit code 0 and Ctrl-C with 130, SIGHUP goes on with a changed bundle.
    Example: [bold]mmedge serve guard.mmedge --camera 0 --mic default[/]
    """
    from mmedge.runtime.pipeline import service
    from mmedge.runtime.pipeline.config import EventConfig, LiveConfig
    from mmedge.runtime.pipeline.outputs import Outputs

    config = service.ServeConfig(
        inputs=inputs_of(
            (camera, mic, stream, play, lines, signal),
            (camera_size, camera_rate, camera_format, rotate, flip, crop),
            mic_channels,
            loop,
        ),
        text=text,
        recording=recording,
        replay=replay,
        outputs=Outputs(
            as_json=as_json,
            only_events=only_events,
            show=show,
            jsonl=jsonl,
            metrics_file=metrics_file,
            http=http,
            http_token=http_token,
            record=kept_in(record_to, record_max_bytes, record_max_s, record_lossy),
        ),
        live=LiveConfig(
            fuse=fuse,
            tolerance_ms=tolerance_ms,
            max_age_ms=pairs("max-age-ms", max_age_ms),
            max_rate_hz=pairs("max-rate-hz", max_rate_hz),
            explain=explain,
            threads=threads,
            events=EventConfig(
                smooth_ms=smooth_ms,
                begin=begin,
                end=end,
                debounce_ms=debounce_ms,
                hold_ms=hold_ms,
                abstain=abstain,
            ),
        ),
        prompts=tuple(prompts or ()),
        templates=tuple(template or ()),
        downmix=downmix,
        backend=backend,
        plan=plan,
        for_s=for_s,
    )
    why = service.serve(_find(bundle), config, _check(backend, plan), _tell)
    raise typer.Exit(_exit_code(why))


def record(
    out: Annotated[Path, typer.Option("-o", "--out", help="Recording to make, NAME.recording.")],
    bundle: BundleOpt = None,
    camera: CameraOpt = None,
    mic: MicOpt = None,
    stream: StreamOpt = None,
    play: PlayOpt = None,
    lines: LinesOpt = None,
    signal: SignalOpt = None,
    camera_size: SizeOpt = "",
    camera_rate: RateOpt = None,
    camera_format: FormatOpt = "",
    rotate: RotateOpt = 0,
    flip: FlipOpt = "none",
    crop: CropOpt = "",
    mic_channels: ChannelsOpt = "",
    lossy: LossyOpt = False,
    max_bytes: Annotated[int, typer.Option(help="End at this size.")] = 4 * 2**30,
    for_s: Annotated[float, typer.Option("--for", help="End after so many seconds.")] = 3600,
) -> None:
    """Record what the bundle's modalities would see and hear, without predicting.

    SIGTERM ends it with exit code 0 and Ctrl-C with 130; the recording is whole either way.
    Example: [bold]mmedge record guard.mmedge -o door.recording --camera 0 --mic default[/]
    """
    from mmedge.runtime.pipeline.service import record as run

    inputs = inputs_of(
        (camera, mic, stream, play, lines, signal),
        (camera_size, camera_rate, camera_format, rotate, flip, crop),
        mic_channels,
        False,
    )
    config = kept_in(out, max_bytes, for_s, lossy)
    told = f"mmedge: recording to {out} for {for_s:g} s at most; Ctrl-C ends it"
    header, why = run(_find(bundle), inputs, config, lambda: typer.echo(told, err=True))
    for name, track in header.tracks.items():
        typer.echo(f"{name}: {track.samples} samples, {track.lost} lost")
    typer.echo(f"{out}: {header.ended}")
    raise typer.Exit(_exit_code(why))


def devices(as_json: JsonOpt = False) -> None:
    """List the cameras and microphones of this machine, and what they can do.

    Example: [bold]mmedge devices[/]
    """
    from mmedge import views
    from mmedge.runtime.sources.devices import list_devices

    with views.progress() as on_stage:
        on_stage("devices")
        found = list_devices()
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    for camera in found.cameras:
        names = " ".join(each for each in (camera.path, *camera.ids) if each)
        typer.echo(f"--camera {camera.index}  {camera.name}  {names}".rstrip())
        for mode in camera.modes:
            rates = ", ".join(f"{rate_hz:g}" for rate_hz in mode.rates_hz) or "?"
            typer.echo(f"    {mode.format} {mode.width}x{mode.height} at {rates} Hz")
        if camera.problem:
            typer.echo(f"    {camera.problem}")
    for mic in found.microphones:
        which = mic.name if mic.index is None else mic.index
        star = "  (default)" if mic.default else ""
        typer.echo(f"--mic {which}  {mic.name}  {mic.host_api}{star}")
        rates = ", ".join(map(str, mic.rates_hz)) or "busy"
        typer.echo(f"    {mic.channels} channels; {rates} Hz")
    for what, several in (("camera", found.cameras), ("microphone", found.microphones)):
        if not several:
            typer.echo(f"no {what} was found")
    for problem in found.problems:
        typer.echo(f"mmedge: {problem}", err=True)


def _exit_code(why: str) -> int:
    """Tell a caller that it was interrupted: flushed, but cut short."""
    return 130 if why == "SIGINT" else 0


def _tell(told: str) -> None:
    """Tell people what belongs in no log."""
    typer.echo(f"mmedge: {told}", err=True)


def _find(named: Path | None) -> Path:
    """Find the bundle, and say which if it was not named."""
    from mmedge.runtime.pipeline.service import find_bundle

    path, why = find_bundle(named, Path.cwd(), _DEMO)
    if why:
        typer.echo(f"mmedge: bundle {path} ({why})", err=True)
    return path


def _check(backend: str, plan: str) -> Callable[[Bundle], None]:
    """Make what a changed bundle has to pass before it takes over."""

    def check(bundle: Bundle) -> None:
        from mmedge.proof import verify

        parity = verify(bundle, backend=backend, plan=plan)
        if not parity.passed:
            raise ProofError(f"it fails its own proof here, first at {parity.worst.point}")

    return check
