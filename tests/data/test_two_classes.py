"""Two classes out of many: which images stay, and what cannot be made."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small import SMALL

from dimat.data import DataFolders
from dimat.data.digits import Digits
from dimat.data.two_classes import TwoClasses
from dimat.errors import InputError
from dimat.experiment.reading import parse_study

NOWHERE = DataFolders((), None)
HIGH = {"positive": [5, 6, 7, 8, 9]}


def of_digits(**options):
    return Digits(**options).prepared(NOWHERE)


def test_positives_are_dropped_from_training_alone(digits):
    made = of_digits(two_classes=HIGH | {"share": 0.1})
    assert made.classes == ("negative", "positive") and made.title == "digits in two classes"
    negatives, positives = torch.bincount(made.train_labels).tolist()
    assert negatives == int((digits.train_labels < 5).sum())
    assert positives == round(negatives / 9)
    assert torch.equal(made.test_labels, (digits.test_labels >= 5).long())
    assert torch.equal(made.test_images, digits.test_images)
    everything = of_digits(two_classes=HIGH)
    assert torch.equal(everything.train_labels, (digits.train_labels >= 5).long())
    assert torch.equal(everything.train_images, digits.train_images)


@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=60),
    st.sets(st.integers(0, 4), min_size=1, max_size=4),
    st.floats(0.01, 0.99),
)
def test_the_first_of_every_positive_class_stay(labels, positive, share):
    labels, chosen = torch.tensor(labels), TwoClasses(positive=sorted(positive), share=share)
    is_positive = torch.tensor([label in positive for label in labels.tolist()])
    negatives = int((~is_positive).sum())
    wanted = max(1, round(share / (1 - share) * negatives))
    if wanted > int(is_positive.sum()):
        with pytest.raises(InputError, match=r"^data\.two_classes\.share: .* expected a smaller share$"):
            chosen.kept(labels)
        return
    kept = chosen.kept(labels)
    assert torch.equal(kept, kept.sort().values) and len(kept) == negatives + wanted
    assert int(chosen.of(labels[kept]).sum()) == wanted
    stay = torch.zeros(len(labels), dtype=torch.bool)
    stay[kept] = True
    assert stay[~is_positive].all()
    counts = []
    for number in positive:
        of_class = stay[labels == number]
        assert of_class.sort(descending=True).values.equal(of_class)  # the first ones
        counts.append((int(of_class.sum()), len(of_class)))
    most = max((count for count, _ in counts), default=0)
    assert all(count >= min(most - 1, there) for count, there in counts)


def test_limits_count_original_classes_and_held_out_images_the_two():
    made = of_digits(train_limit=100, test_limit=40, two_classes=HIGH | {"share": 0.2})
    assert torch.bincount(made.train_labels).tolist() == [50, 12]
    assert torch.bincount(made.test_labels).tolist() == [20, 20]
    assert Digits(two_classes={"positive": 3}).two_classes == TwoClasses(positive=[3])
    held = of_digits(train_limit=100, validation=0.2, two_classes=HIGH | {"share": 0.2})
    assert torch.bincount(held.test_labels).tolist() == [10, 2]
    assert torch.bincount(held.train_labels).tolist() == [40, 10]
    assert held.title == "digits in two classes, validation"


def test_a_data_set_without_them_is_written_as_before():
    assert "two_classes" not in Digits().model_dump()
    assert Digits().class_count == 10
    made = Digits(two_classes=HIGH | {"share": 0.1})
    assert made.model_dump()["two_classes"] == {"positive": (5, 6, 7, 8, 9), "share": 0.1}
    assert made.label() == "digits, two classes (5 6 7 8 9 positive, 10 % positive)"
    assert made.class_count == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"positive": [3, 10]}, "data.two_classes.positive: 10 is no class; expected numbers from 0 to 9"),
        ({"positive": list(range(10))}, "all 10 classes are listed, which leaves no negative image"),
        ({"positive": [3, 3]}, "two_classes.positive: .* 3 is listed twice"),
        ({"positive": []}, "two_classes.positive: .* at least 1 item"),
        ({"positive": [-1]}, "two_classes.positive.* -1 is not valid"),
        ({"share": 0.0}, "two_classes.share: 0.0 is not valid: input should be greater than 0"),
        ({"share": 1.0}, "two_classes.share: 1.0 is not valid: input should be less than 1"),
        ({"share": 0.9}, "share: 0.9 needs 675 positive images beside 75 negative ones, and there are 75"),
        ({"negative": [3]}, "unknown key"),
    ],
)
def test_what_cannot_be_made_is_refused_when_it_is_read(changes, said):
    content = SMALL | {"data": SMALL["data"] | {"two_classes": HIGH | changes}}
    with pytest.raises(InputError, match=said) as refused:
        parse_study(content, "study.yaml").check()
    assert len(str(refused.value).splitlines()) == 1
