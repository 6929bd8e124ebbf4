"""Named errors: every message is one line that names the file or value at fault and says what to do.

The command line turns any ``DitheadError`` into one line on stderr and exit code 2; any other exception is a bug and
keeps its traceback.
"""

EXTRAS = {
    "heic": ("pi_heif",),
    "hub": ("huggingface_hub", "fsspec"),
    "synth": ("moderngl", "scipy"),
    "evaluate": ("torchmetrics",),
    "train": ("accelerate", "diffusers", "tensorboard", "transformers"),
    "kokoro": ("onnxruntime",),
    "ray": ("ray",),
    "serve": ("aiortc", "dbos", "fastapi", "httpx", "prometheus_client", "psycopg", "sqlalchemy", "uvicorn"),
}
"""Extra of dithead -> the modules that it brings and that are imported where they are used."""


class DitheadError(Exception):
    """Base of every error that a user can cause or repair."""


class MediaError(DitheadError):
    """A video or audio file cannot be read."""


class FaceError(DitheadError):
    """There is no usable face where one is needed."""


class ModelError(DitheadError):
    """A model folder is missing, damaged, or does not fit the architecture it names."""


class DataError(DitheadError):
    """A dataset folder is missing, damaged or empty."""


class OutputError(DitheadError):
    """An output cannot be written at its place."""


class SigningError(OutputError):
    """A complete output cannot be signed; nothing of the work is lost."""


class ConfigError(DitheadError):
    """A setting is unknown, out of range, or contradicts another."""


class UnknownOptionError(ConfigError, TypeError):
    """A call names an option that there is none of, or leaves out what is required."""


class MissingExtraError(DitheadError):
    """A feature needs packages that the default install leaves out.

    Args:
        extra: Extra of ``dithead`` that installs them.
        package: The one package that is missing, for the message.
    """

    def __init__(self, extra: str, package: str | None = None) -> None:
        self.extra, self.package = extra, package
        what = package or f"the '{extra}' extra"
        super().__init__(f"{what} is not installed; install it with: pip install 'dithead[{extra}]'")

    def __reduce__(self) -> tuple[type[DitheadError], tuple[str, str | None]]:
        """Come whole out of another process: by default an exception is made anew from its line."""
        return type(self), (self.extra, self.package)


def explain_import(error: ImportError) -> DitheadError | None:
    """Say in one line what to do about a library that cannot be imported.

    Returns:
        What to install for a module of an extra, or the advice to ask `dithead doctor` for any other library; None
        where it is a module of dithead itself, which is a bug.
    """
    package = (error.name or "").partition(".")[0]
    if package == "dithead":
        return None
    for extra, modules in EXTRAS.items():
        if package in modules:
            return MissingExtraError(extra, package)
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DitheadError(f"{package or 'a library'} cannot be loaded ({reason}); `dithead doctor` says how to repair it")
