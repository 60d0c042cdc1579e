"""One image file as 8-bit RGB. docs/data.md says what is done to each kind of image.

Whatever changes an image, or ignores a part of its file, is noted.
"""

import io
import re
import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy
from numpy import ndarray
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")
"""Formats that are read; other decoders of the library are never started."""
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""
WHITE_IS_ZERO, SIGNED = 0, 2
"""What photometric and sample format may say."""
DISPLAY_GAMMA = 0.45455
"""What PNG files of ordinary images declare."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its orientation in EXIF."""
PLAIN = {
    "1": "black and white as RGB",
    "L": "grey as RGB",
    "P": "palette as RGB",
    "YCbCr": "YCbCr as RGB",
}

Note = Callable[[str], None]
"""Is told what was done to an image."""


class Unreadable(ValueError):
    """An image of a kind that is not read; says what it ``is`` or ``has``, and what is expected."""


def decode(content: bytes, note: Note) -> Image.Image:
    """The first frame of an image file, upright, as 8-bit RGB.

    `Unreadable` for kinds that are not read; decoders raise almost anything when a file is damaged.
    """
    if not content:
        raise Unreadable("is empty; expected an image")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format == "PNG":  # its checksums are not looked at otherwise
                Image.open(io.BytesIO(content), formats=["PNG"]).verify()
            if getattr(image, "is_animated", False):
                note("first of several frames")
            asked = _orientation(image, note)
            image.load()
            left = _orientation(image, note) if image.format == "TIFF" else asked  # may turn by itself
            decoded = _eight_bit_rgb(image, content, note)
    if asked in TURNS:
        note("turned as EXIF says")
    for text in dict.fromkeys(str(warning.message) for warning in heard):
        note(f"decoder's warning {' '.join(text.split())!r}")
    return decoded.transpose(TURNS[left]) if left in TURNS else decoded


def _orientation(image: Image.Image, note: Note) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # metadata are often damaged where the image is not
        note("EXIF damaged, taken as upright")
        return 1


def _eight_bit_rgb(image: Image.Image, content: bytes, note: Note) -> Image.Image:
    if image.mode == "F":
        return _of_floats(image, note)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _of_deep_grey(image, content, note)
    if image.mode in ("I", "LAB", "HSV") or _signed(image):
        kinds = {"I": "32-bit or signed integers", "LAB": "colours in LAB", "HSV": "colours in HSV"}
        kind = kinds.get(image.mode, "signed integers")
        raise Unreadable(f"has {kind} (mode {image.mode}); expected grey, palette, RGB or CMYK")
    if _bits(image, content) > 8:
        raise Unreadable(f"has more than 8 bits a channel in colour (mode {image.mode}); expected 8")
    alpha = None
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        grey = image.mode in ("1", "L", "LA", "La")
        image = _with_its_info(image.convert("RGBA"), image)
        alpha = image.getchannel("A")
        image = _with_its_info(image.convert("RGB").convert("L" if grey else "RGB"), image)
    elif image.mode in PLAIN:
        note(PLAIN[image.mode])
    colours = _in_srgb(image, note)
    if alpha is None or alpha.getextrema()[0] == 255:
        return colours
    note("transparent over white")
    return Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)


def _with_its_info(image: Image.Image, other: Image.Image) -> Image.Image:
    image.info = {name: value for name, value in other.info.items() if name != "transparency"}
    return image


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits of a channel, as the file has them; the library keeps the upper eight of colours."""
    if image.format == "PNG":
        return content[24]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))
    return 8


def _signed(image: Image.Image) -> bool:
    return isinstance(image, TiffImagePlugin.TiffImageFile) and SIGNED in image.tag_v2.get(SAMPLE_FORMAT, ())


def _of_floats(image: Image.Image, note: Note) -> Image.Image:
    levels = numpy.asarray(image).astype(float)
    if not (levels.min() >= 0 and levels.max() <= 1):  # not a number fails, too
        raise Unreadable(f"has floats from {levels.min():g} to {levels.max():g} (mode F); expected 0 to 1")
    note("floats from 0 to 1 as 8-bit grey")
    return _grey(numpy.floor(_white_is_one(image, levels, 1) * 255 + 0.5))


def _of_deep_grey(image: Image.Image, content: bytes, note: Note) -> Image.Image:
    levels, top = numpy.asarray(image).astype(numpy.int64), 65535
    if image.format == "PPM":  # which the library has stretched to 16 bits
        declared = int(re.sub(rb"#[^\r\n]*", b"", content[:4096]).split()[3])
        levels, top = (2 * levels * declared + top) // (2 * top), declared
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        top = 2 ** _bits(image, content) - 1
    note("deep grey to 8 bits")
    transparent = levels == image.info.get("transparency", -1)
    scaled = (2 * 255 * _white_is_one(image, levels, top) + top) // (2 * top)
    if transparent.any():
        note("transparent over white")
    return _grey(numpy.where(transparent, 255, scaled))


def _white_is_one(image: Image.Image, levels: ndarray, top: int) -> ndarray:
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        return top - levels
    return levels


def _grey(levels: ndarray) -> Image.Image:
    return Image.fromarray(levels.astype(numpy.uint8)).convert("RGB")


def _in_srgb(image: Image.Image, note: Note) -> Image.Image:
    """RGB in the colour space of screens; without a profile an image is taken as being in it."""
    profile = image.info.get("icc_profile")
    if profile and image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        try:
            transform = _to_srgb(profile, image.mode)
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            note("colour profile damaged or of another kind of image, not applied")
        else:
            if transform is None:
                return image.convert("RGB")
            note("colours to sRGB as the profile says")
            converted = ImageCms.applyTransform(image, transform)
            assert converted is not None  # as it is not in place
            return converted
    elif abs(image.info.get("gamma", DISPLAY_GAMMA) - DISPLAY_GAMMA) > 0.01 and "srgb" not in image.info:
        note("unusual gamma, not applied")
    if image.mode == "CMYK":
        note("CMYK to RGB without a profile")
    return image.convert("RGB")


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What brings images with a ``profile`` to sRGB; `None` if they are in it, up to rounding."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    screen = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = ImageCms.buildTransform(source, screen, mode, "RGB", renderingIntent=intent)
    if mode == "RGB":
        steps = numpy.arange(0, 256, 15, dtype=numpy.uint8)
        colours = numpy.stack(numpy.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
        moved = ImageCms.applyTransform(Image.fromarray(colours), transform)
        if numpy.abs(numpy.asarray(moved).astype(int) - colours).max() <= 2:
            return None
    return transform
