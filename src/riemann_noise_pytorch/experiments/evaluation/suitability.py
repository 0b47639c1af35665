"""Whether a target, metrics and real images fit one another."""

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.subject import Say
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.metrics import catalogue
from riemann_noise_pytorch.metrics.catalogue import OF_GENERATORS, Metric, parse_metrics

WITHOUT_REAL = ("is", "cs", *OF_GENERATORS)


def metrics_for(target: Target, text: str, say: Say) -> tuple[Metric, ...]:
    """Read names; from groups, leave out what images alone cannot give.

    Args:
        target: What is measured.
        text: Names of metrics and groups.
        say: Called with a line of what is left out.

    Raises:
        InputError: A name is unknown.
    """
    asked = parse_metrics(text)
    if target.kind != "images":
        return asked
    names = [name for part in text.split(",") if (name := part.strip().lower()) not in catalogue.GROUPS]
    named = parse_metrics(",".join(names)) if any(names) else ()
    left_out = [m for m in asked if m.family in OF_GENERATORS and m not in named]
    if not left_out or len(left_out) == len(asked) or any(m.family in OF_GENERATORS for m in named):
        return asked
    say(
        f"{target.name} is a set of images: {', '.join(m.name for m in left_out)} of the group need a "
        "generator, and are left out"
    )
    return tuple(metric for metric in asked if metric not in left_out)


def check_target(target: Target, config: EvaluateConfig, metrics: tuple[Metric, ...]) -> None:
    """Refuse metrics that a target cannot give, and truncation where there is none.

    Raises:
        InputError: The first fault that is found.
    """
    of_generator = [metric.name for metric in metrics if metric.family in OF_GENERATORS]
    if target.kind == "images" and of_generator:
        raise InputError(
            f"{target.name} is a set of images, and {of_generator[0]} needs a generator; leave it out"
        )
    in_w = [metric.name for metric in metrics if metric.space not in ("", "z")]
    parts = ("mapping", "synthesis")
    if in_w and not all(hasattr(target.generator, part) for part in parts):
        raise InputError(
            f"{target.name} has no mapping and synthesis, hence no w for {in_w[0]}; measure in z"
        )
    if config.truncation_psi != 1 and (of_generator or not hasattr(target.generator, "ws")):
        why = f"{of_generator[0]} is measured without" if of_generator else f"{target.name} has no w for"
        raise InputError(f"{why} truncation; leave --truncation-psi out")


def check_shapes(measured: tuple[int, ...], images: ImageSet, target: Target) -> None:
    """Refuse images of another size or colour than the real ones.

    Args:
        measured: Shape (C, H, W) of the measured side.
        images: The real images.
        target: What is measured.

    Raises:
        InputError: They differ; the message names the options that bring both to one.
    """
    real = tuple(images.image_shape)
    if measured == real:
        return
    options = []
    if measured[1:] != real[1:]:
        sides_of = measured[1:] if target.kind != "images" else (*measured[1:], *real[1:])
        options.append(f"--resolution {min(sides_of)}")
    if measured[0] != real[0]:
        options.append(f"--channels {measured[0]}")
    raise InputError(
        f"images of {target.name} are {measured}, but those of {images.name} are {real}; "
        f"give {' '.join(options)}, or other data"
    )
