"""Every kind of image gives the right 8-bit RGB, or is refused in one line that says what it is."""

import io
import struct
import zlib

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.pictures import assert_refused, fill, picture, read

from dimat.data.decoding import TURNS, Unreadable, decode

LEVELS = numpy.array([[0, 128, 129, 256, 257], [385, 386, 32767, 65406, 65535]], dtype=numpy.uint16)
"""16 bits, some of them next to where rounding to 8 bits changes."""


def decoded(content):
    """Pixels (height, width, 3), and what was noted."""
    notes = []
    image = decode(content, notes.append)
    assert image.mode == "RGB"
    return numpy.asarray(image).astype(int), notes


def saved(image, ending, **options):
    content = io.BytesIO()
    image.save(content, ending, **options)
    return content.getvalue()


def png(pixels, bits, colour, *more):
    """A PNG of ``pixels`` (height, width, channels), written byte by byte."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(pixels, bits, photometric, sample_format=1):
    """A TIFF of grey ``pixels`` (height, width), written byte by byte, little-endian, not compressed."""
    height, width = pixels.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 200), (277, 1)]
    tags += [(278, height), (279, pixels.nbytes), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + pixels.tobytes()


def grey_of(levels, top=65535):
    """Rounded to 8 bits, half up, by fractions."""
    return [[(2 * 255 * int(level) + top) // (2 * top) for level in row] for row in levels]


def assert_grey(content, expected, note):
    pixels, notes = decoded(content)
    assert (pixels == pixels[..., :1]).all()
    assert pixels[..., 0].tolist() == expected
    assert notes == [note]


def refused(content, *words):
    with pytest.raises(Unreadable) as caught:
        decode(content, lambda what: None)
    for word in words:
        assert word in str(caught.value)


# Depths.


DEEP = "deep grey to 8 bits"


@pytest.mark.parametrize(
    "content",
    [
        png(LEVELS[..., None], 16, 0),
        tiff(LEVELS, 16, photometric=1),
        tiff(65535 - LEVELS, 16, photometric=0),  # 0 is white
        saved(Image.fromarray(LEVELS), "TIFF"),
        saved(Image.fromarray(LEVELS), "TIFF", compression="tiff_lzw"),
        b"P5 5 2 65535\n" + LEVELS.astype(">u2").tobytes(),
        b"P2 # plain\n5 2 65535\n" + " ".join(map(str, LEVELS.flatten())).encode(),
    ],
    ids=["png", "tiff", "tiff-white-is-0", "tiff-library", "tiff-lzw", "pgm", "plain-pgm"],
)
def test_16_bit_grey_is_divided_by_257_and_rounded(content):
    expected = [[0, 0, 1, 1, 1], [1, 2, 127, 254, 255]]
    assert expected == grey_of(LEVELS)
    assert_grey(content, expected, DEEP)


@given(st.integers(256, 65535), st.data())
def test_pgm_of_any_deep_maximum(top, data):
    levels = data.draw(st.lists(st.integers(0, top), min_size=4, max_size=4))
    content = f"P5\n# maximum {top}\n4 1\n{top}\n".encode() + numpy.array(levels, ">u2").tobytes()
    assert_grey(content, grey_of([levels], top), DEEP)


@pytest.mark.parametrize("top", [1, 3, 15, 100, 254])
def test_pgm_of_a_small_maximum(top):
    levels = sorted({0, 1, top // 2, top})
    pixels, _ = decoded(f"P5 {len(levels)} 1 {top}\n".encode() + bytes(levels))
    assert numpy.abs(pixels[0, :, 0] - numpy.array(levels) * 255 / top).max() <= 0.5


def test_12_bit_tiff():
    packed = numpy.array([[0x00, 0x0F, 0xFF, 0x80, 0x00, 0x08]], dtype=numpy.uint8)  # 0, 4095, 2048, 8
    content = bytearray(tiff(packed, 12, photometric=1))
    content[18:22] = struct.pack("<I", 4)  # pixels, of a byte and a half each
    assert_grey(bytes(content), grey_of([[0, 4095, 2048, 8]], 4095), DEEP)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_16_bit_colour_and_alpha_are_refused(colour, channels):
    pixels = numpy.full((2, 2, channels), 1000)
    refused(png(pixels, 16, colour), "more than 8 bits", "expected 8")


def test_16_bit_colour_of_ppm_is_rounded():
    levels = numpy.array([[[0, 129, 65535], [386, 32767, 257]]])
    pixels, _ = decoded(b"P6 2 1 65535\n" + levels.astype(">u2").tobytes())
    assert pixels.tolist() == [[[0, 1, 255], [2, 127, 1]]]


@pytest.mark.parametrize("photometric", [0, 1])
def test_floats_from_0_to_1(photometric):
    levels = numpy.array([[0, 0.25, 0.5, 1], [0.1, 0.001, 0.002, 0.998]], dtype=numpy.float32)
    expected = [[0, 64, 128, 255], [26, 0, 1, 254]]
    content = tiff(levels if photometric else 1 - levels, 32, photometric, sample_format=3)
    assert_grey(content, expected, "floats from 0 to 1 as 8-bit grey")


def test_floats_of_pfm_are_stored_from_the_bottom():
    levels = numpy.array([[0, 1], [0.5, 0.25]], dtype="<f4")
    pixels, _ = decoded(b"Pf\n2 2\n-1.0\n" + levels.tobytes())
    assert pixels[..., 0].tolist() == [[128, 64], [0, 255]]


@pytest.mark.parametrize("level", [-0.1, 1.5, 255, float("nan"), float("inf")])
def test_floats_of_another_scale_are_refused(level):
    content = tiff(numpy.array([[0, level]], dtype=numpy.float32), 32, 1, sample_format=3)
    refused(content, "floats", "mode F", "expected 0 to 1")


@pytest.mark.parametrize(
    ("bits", "kind", "sample_format", "word"),
    [(32, "<u4", 1, "mode I"), (32, "<i4", 2, "mode I"), (16, "<i2", 2, "mode I"), (8, "i1", 2, "signed")],
)
def test_integers_of_an_unknown_scale_are_refused(bits, kind, sample_format, word):
    refused(tiff(numpy.array([[0, 100]], dtype=kind), bits, 1, sample_format), word)


def test_a_refusal_names_folder_file_and_mode(tmp_path):
    root = fill(tmp_path / "images")
    (root / "train" / "ant" / "1.tif").write_bytes(tiff(numpy.array([[0, 9]], dtype="<i4"), 32, 1, 2))
    assert_refused(lambda: read(root), root, "train/ant/1.tif", "mode I", "convert")


# Modes.


def test_grey_palette_and_bits_keep_their_colours():
    grey = Image.fromarray(numpy.arange(256, dtype=numpy.uint8)[None])
    for content in (saved(grey, "PNG"), saved(grey, "BMP"), saved(grey, "TIFF")):
        assert decoded(content)[0][0].tolist() == [[level] * 3 for level in range(256)]
    for ending in ("PNG", "TIFF", "BMP", "PPM"):
        found, notes = decoded(saved(Image.fromarray(numpy.array([[True, False, True]])), ending))
        assert found[0, :, 1].tolist() == [255, 0, 255]
        assert len(notes) == 1
    colours = picture(0).quantize(16)
    assert (decoded(saved(colours, "PNG"))[0] == numpy.asarray(colours.convert("RGB"))).all()
    assert decoded(saved(colours, "PNG"))[1] == ["palette as RGB"]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_stretched(bits):
    count = 8 // bits
    levels = [place % 2**bits for place in range(count)]
    packed = sum(level << (8 - bits * (place + 1)) for place, level in enumerate(levels))
    content = bytearray(png(numpy.array([[[packed]]]), bits, 0))
    header = struct.pack(">IIBBBBB", count, 1, bits, 0, 0, 0, 0)
    content[16:29] = header
    content[29:33] = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    assert decoded(bytes(content))[0][0, :, 0].tolist() == [255 * level // (2**bits - 1) for level in levels]


def over_white(colour, alpha):
    return [round((level * alpha + 255 * (255 - alpha)) / 255) for level in colour]


@pytest.mark.parametrize("ending", ["PNG", "TIFF", "WEBP"])
def test_transparent_images_lie_over_white(ending):
    pixels = numpy.array([[[10, 20, 30, 0], [10, 20, 30, 255], [200, 100, 0, 128]]], dtype=numpy.uint8)
    options = {"lossless": True, "exact": True} if ending == "WEBP" else {}
    found, notes = decoded(saved(Image.fromarray(pixels), ending, **options))
    expected = [over_white(pixel[:3], pixel[3]) for pixel in pixels[0].tolist()]
    assert numpy.abs(found[0] - expected).max() <= 1
    assert found[0, 0].tolist() == [255] * 3 and found[0, 1].tolist() == [10, 20, 30]
    assert notes == ["transparent over white"]


def test_grey_with_alpha_lies_over_white():
    pixels = numpy.array([[[10, 0], [10, 255], [100, 51]]], dtype=numpy.uint8)
    found, notes = decoded(png(pixels, 8, 4))
    assert found[0, :, 0].tolist() == [255, 10, over_white([100], 51)[0]]
    assert notes == ["transparent over white"]


def test_an_alpha_that_hides_nothing_changes_nothing():
    opaque = picture(0).copy()
    opaque.putalpha(255)
    found, notes = decoded(saved(opaque, "PNG"))
    assert (found == numpy.asarray(picture(0))).all() and not notes


def test_a_transparent_colour_without_alpha_lies_over_white():
    grey = png(numpy.array([[[7], [9]]]), 8, 0, (b"tRNS", struct.pack(">H", 7)))
    assert decoded(grey)[0][0, :, 0].tolist() == [255, 9]
    deep = png(numpy.array([[[700], [65535]]]), 16, 0, (b"tRNS", struct.pack(">H", 700)))
    assert decoded(deep)[0][0, :, 0].tolist() == [255, 255]
    colour = png(numpy.array([[[1, 2, 3], [4, 5, 6]]]), 8, 2, (b"tRNS", struct.pack(">HHH", 1, 2, 3)))
    assert decoded(colour)[0][0].tolist() == [[255] * 3, [4, 5, 6]]
    palette = Image.fromarray(numpy.array([[0, 1]], dtype=numpy.uint8))
    palette = palette.convert("P")
    palette.putpalette([9, 9, 9, 50, 60, 70])
    assert decoded(saved(palette, "GIF", transparency=0))[0][0].tolist() == [[255] * 3, [50, 60, 70]]


def test_cmyk_without_a_profile():
    inks = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for content in (saved(inks, "TIFF"), saved(inks, "JPEG", quality=100)):
        found, notes = decoded(content)
        assert numpy.abs(found - [0, 255, 255]).max() <= 3  # cyan
        assert notes == ["CMYK to RGB without a profile"]


# Colour profiles.


def test_the_profile_of_screens_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found, notes = decoded(saved(picture(0), "PNG", icc_profile=profile))
    assert (found == numpy.asarray(picture(0))).all() and not notes


def swapped_profile():
    """A profile of a screen whose red is sRGB's blue, and the other way round."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = content.index(b"rXYZ"), content.index(b"bXYZ")
    content[red : red + 4], content[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(content)


@pytest.mark.parametrize("ending", ["PNG", "TIFF"])
def test_another_profile_is_applied(ending):
    original = numpy.asarray(picture(0)).astype(int)
    found, notes = decoded(saved(picture(0), ending, icc_profile=swapped_profile()))
    assert numpy.abs(found[..., ::-1] - original).max() <= 2
    assert notes == ["colours to sRGB as the profile says"]


def test_a_profile_is_applied_below_transparency():
    image = Image.new("RGBA", (2, 1), (250, 10, 20, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    found, _ = decoded(saved(image, "PNG", icc_profile=swapped_profile()))
    assert numpy.abs(found[0] - [[20, 10, 250], [255, 255, 255]]).max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_damaged_profile_or_one_of_another_kind_is_not_applied(mode):
    profile = b"no profile" if mode == "RGB" else swapped_profile()
    image = picture(0).convert(mode)
    found, notes = decoded(saved(image, "PNG", icc_profile=profile))
    assert (found == numpy.asarray(image.convert("RGB"))).all()
    assert "colour profile damaged or of another kind of image, not applied" in notes


# Turned images, several frames, damage.


@pytest.mark.parametrize("ending", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(ending, orientation):
    corners = numpy.zeros((16, 24, 3), dtype=numpy.uint8)
    corners[:8, :8] = [255, 0, 0]
    corners[:8, 16:] = [0, 255, 0]
    upright = Image.fromarray(corners)
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(
        orientation, TURNS.get(orientation)
    )
    turned = upright if back is None else upright.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(ending, {})
    found, notes = decoded(saved(turned, ending, exif=exif, **options))
    assert found.shape == (16, 24, 3)
    assert numpy.abs(found - corners).max() <= 8
    assert notes == (["turned as EXIF says"] if orientation > 1 else [])


def test_the_meaning_of_orientation_6():
    """By the standard: row 0 of what is stored is the right side of the picture, column 0 its top."""
    stored = numpy.array([[[1, 1, 1], [2, 2, 2]], [[3, 3, 3], [4, 4, 4]]], dtype=numpy.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decoded(saved(Image.fromarray(stored), "PNG", exif=exif))[0][..., 0].tolist() == [[3, 1], [4, 2]]


def test_damaged_exif_is_no_reason_to_leave_an_image_out():
    content = saved(picture(0), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert (decoded(content)[0] == numpy.asarray(picture(0))).all()


@pytest.mark.parametrize("ending", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_the_first_frame_is_taken(ending):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    found, notes = decoded(saved(frames[0], ending, save_all=True, append_images=frames[1:]))
    assert numpy.abs(found - [255, 0, 0]).max() <= 3
    assert notes[0] == "first of several frames"


SAVED = {
    "png": ("PNG", {}),
    "jpg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "tif": ("TIFF", {}),
    "ppm": ("PPM", {}),
    "avif": ("AVIF", {}),
}


@pytest.mark.parametrize("kind", SAVED)
def test_a_file_that_was_cut_anywhere_is_whole_or_refused(kind):
    content = saved(picture(0, 12, 12), SAVED[kind][0], **SAVED[kind][1])
    whole = decoded(content)[0]
    refused = 0
    for length in range(0, len(content), 3):
        try:
            found = decoded(content[:length])[0]
        except Exception:  # decoders raise almost anything
            refused += 1
        else:
            assert numpy.array_equal(found, whole), length
    assert refused > len(content) // 4


def test_any_flipped_bit_of_a_png_is_noticed():
    content = saved(picture(0), "PNG")
    for place in range(8 * 8, 8 * (len(content) - 12), 7):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(Exception):  # noqa: B017  # decoders raise almost anything
            decode(bytes(damaged), lambda what: None)


@pytest.mark.parametrize("ending", ["png", "jpg", "jfif", "tif", "webp", "avif", "pgm"])
def test_an_empty_file_is_refused_by_name(tmp_path, ending):
    root = fill(tmp_path / "images")
    (root / "train" / "bee" / f"9.{ending}").write_bytes(b"")
    assert_refused(lambda: read(root), f"train/bee/9.{ending}", "empty")


def test_what_was_converted_is_counted_and_kept(tmp_path, caplog):
    root = fill(tmp_path / "images")
    for split, label in (("train", "ant"), ("train", "bee"), ("test", "cat")):
        Image.fromarray(numpy.zeros((8, 8), dtype=numpy.uint16)).save(root / split / label / "9.png")
    picture(3).convert("L").save(root / "train" / "ant" / "8.png")
    with caplog.at_level("INFO", "dimat"):
        images = read(root)
    deep, grey = "deep grey to 8 bits: 3 (first: train/ant/9.png)", "grey as RGB: 1 (first: train/ant/8.png)"
    assert images.source["converted"] == f"{deep}; {grey}"
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{root}: converted: {line}" for line in (deep, grey)]
    assert (images.train_images[4] == 0).all()
