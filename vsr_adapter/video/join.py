"""Joining segments without encoding again, with everything else that the source holds."""

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import av

from vsr_adapter.errors import UserError
from vsr_adapter.video.encode import MUXERS
from vsr_adapter.video.index import Index

# of the container or the muxer that wrote it, not of the content
TECHNICAL = frozenset(["encoder", "major_brand", "minor_version", "compatible_brands", "duration", "number_of_frames"])


class Segment(NamedTuple):
    """A committed stretch of the result.

    Attributes:
        path: its file.
        numbers: of the source's frames that it holds, ascending.
    """

    path: Path
    numbers: Sequence[int]


class Copied(NamedTuple):
    """What comes from the source besides its pictures.

    Attributes:
        streams: numbers of its audio and subtitle streams.
        dropped: its other streams, in words.
        held: whether the container asked for can hold those streams.
    """

    streams: tuple[int, ...]
    dropped: tuple[str, ...]
    held: bool


def copied(path: Path, container: str) -> Copied:
    """Which streams of a source go into a result in ``container`` (mp4, mkv, mov)."""
    if path.is_dir():
        return Copied((), (), True)
    with BytesIO() as nothing, av.open(nothing, "w", format=MUXERS[container]) as output:
        supported = output.supported_codecs
    streams, dropped, held = [], [], True
    with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as source:
        for stream in source.streams:
            if stream.type in ("audio", "subtitle") and stream.codec_context is not None:
                codec = stream.codec_context.codec
                held = held and not supported.isdisjoint((codec.name, codec.canonical_name))
                streams.append(stream.index)
            elif stream.type == "video" and stream is not source.streams.video[0]:
                dropped.append(f"video stream {stream.index}")
            elif stream.type != "video" and not source.chapters():  # MP4 keeps chapters as a stream of texts
                dropped.append(f"{stream.type} stream {stream.index}")
    return Copied(tuple(streams), tuple(dropped), held)


def decoding_times(numbers: Sequence[int], times: Sequence[int]) -> list[int]:
    """Decoding times of packets: ascending, and none after its presentation time.

    Args:
        numbers: place of each packet's frame in order of presentation, in decoding order.
        times: presentation time of each place, ascending.
    """
    delay = max((k - number for k, number in enumerate(numbers)), default=0)
    step = max(times[1] - times[0], 1) if len(times) > 1 else 1
    return [times[k - delay] if k >= delay else times[0] - (delay - k) * step for k in range(len(numbers))]


def join(
    segments: Sequence[Segment], target: Path, container: str, source: Path, known: Index, preview: bool = False
) -> None:
    """Writes the result.

    Presentation times are the source's. Audio and subtitle packets, chapters and metadata are copied.

    Args:
        segments: all of them, in order.
        target: file to write.
        container: mp4, mkv or mov.
        source: where the rest comes from.
        known: the source's index.
        preview: whether the segments are a part of the source: the result then begins at 0, and what is copied is
            cut to the same stretch.

    Raises:
        UserError: a segment is damaged, or the container refuses a stream.
    """
    numbers = [number for segment in segments for number in segment.numbers]
    shift = known.times[numbers[0]] if preview else 0
    times = [known.times[number] - shift for number in numbers]
    step = times[-1] - times[-2] if len(times) > 1 else max(round(1 / known.info.rate / known.time_base), 1)
    ends = [*times[1:], times[-1] + step]
    begin, end = shift * known.time_base, (ends[-1] + shift) * known.time_base
    file = f"file:{source}"
    try:
        next(opened_packets(segments[0].path))  # says what is wrong with it, if anything
        with (
            av.open(f"file:{segments[0].path}") as first,  # the template's memory is the container's
            av.open(f"file:{target}", "w", format=MUXERS[container]) as output,
        ):
            video = output.add_stream_from_template(first.streams.video[0])
            video.time_base = known.time_base
            if known.look.rotation:
                video.set_display_rotation(known.look.rotation)
            pictures = video_packets(segments, video, times, ends, known.time_base)
            if source.is_dir():
                for _, packet in pictures:
                    output.mux_one(packet)
                return
            with av.open(file, options={"protocol_whitelist": "file"}) as other:
                mapped = add_others(other, output, copied(source, container).streams)
                keep_words(other, output, video, known.stream, preview)
                rest = other_packets(other, mapped, begin, end) if preview else other_packets(other, mapped)
                for _, packet in heapq.merge(pictures, rest, key=lambda pair: pair[0]):
                    output.mux_one(packet)
    except av.error.FFmpegError as error:
        raise UserError(
            f"{target}: {container} refuses what {source} holds ({error.strerror}); pass --output_format mkv"
        ) from error


def video_packets(
    segments: Sequence[Segment], stream: av.video.VideoStream, times: list[int], ends: list[int], base: Fraction
) -> Iterator[tuple[Fraction, av.Packet]]:
    """Packets of all segments with their times in the result, each after its decoding time in seconds.

    Raises:
        UserError: a segment does not hold its frames.
    """
    numbers: list[int] = []
    for segment in segments:
        shown = [packet.pts for packet in opened_packets(segment.path)]
        if len(shown) != len(segment.numbers):
            raise UserError(
                f"{segment.path}: {len(shown)} frames, must be {len(segment.numbers)}; delete it, run again"
            )
        place = {pts: len(numbers) + i for i, pts in enumerate(sorted(shown))}
        numbers += [place[pts] for pts in shown]
    decoding = decoding_times(numbers, times)
    packets = (packet for segment in segments for packet in opened_packets(segment.path))
    for number, dts, packet in zip(numbers, decoding, packets, strict=True):
        packet.time_base, packet.stream = base, stream
        packet.pts, packet.dts, packet.duration = times[number], dts, ends[number] - times[number]
        yield dts * base, packet


def opened_packets(path: Path) -> Iterator[av.Packet]:
    """Packets of a segment.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with av.open(f"file:{path}") as file:
            yield from (packet for packet in file.demux(video=0) if packet.size)
    except av.error.FFmpegError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); delete it and its .json, and run again") from error


def add_others(
    source: av.container.InputContainer, output: av.container.OutputContainer, streams: Sequence[int]
) -> dict[int, av.stream.Stream]:
    """Streams of the result, by the number of those that are copied."""
    mapped = {}
    for number in streams:
        original = source.streams[number]
        mapped[number] = output.add_stream_from_template(original)
        mapped[number].metadata.update(words(original.metadata))
        mapped[number].disposition = original.disposition
    return mapped


def words(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata without what the old container said of itself."""
    return {key: value for key, value in metadata.items() if key.lower().split("-")[0] not in TECHNICAL}


def keep_words(
    source: av.container.InputContainer,
    output: av.container.OutputContainer,
    video: av.video.VideoStream,
    number: int,
    preview: bool,
) -> None:
    """Metadata of the file and of the video stream, and chapters, but for a preview, whose times are others."""
    output.metadata.update(words(source.metadata))
    video.metadata.update(words(source.streams[number].metadata))
    if not preview and source.chapters():
        output.set_chapters(source.chapters())


def other_packets(
    source: av.container.InputContainer,
    mapped: dict[int, av.stream.Stream],
    begin: Fraction | None = None,
    end: Fraction | None = None,
) -> Iterator[tuple[Fraction, av.Packet]]:
    """Packets of the copied streams in the order of the file, each after its time in seconds.

    Args:
        source: open.
        mapped: their streams in the result.
        begin: seconds where a preview begins; what lies outside is left out, and the rest begins there.
        end: seconds where it ends.
    """
    if not mapped:
        return  # demuxing no streams would be demuxing all
    last = Fraction(-(10**9))
    for packet in source.demux([source.streams[number] for number in mapped]):
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or not packet.size:
            continue
        base = Fraction(packet.time_base)
        if begin is not None and end is not None:
            if not begin <= stamp * base < end:
                continue
            shift = round(begin / base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            stamp -= shift
        packet.stream = mapped[packet.stream.index]
        last = max(last, stamp * base)  # streams are interleaved only roughly; a merge needs an ascending key
        yield last, packet
