"""PyTorch as an independent oracle (extra `oracle`): first and second derivatives of SciPy's functions of Tensors."""

from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_np import Tensor, grad, special, stats
from tinygrad_np._registry import registry

import numpy as np
import pytest

torch = pytest.importorskip("torch")
scipy = pytest.importorskip("scipy.special")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


POSITIVE, UNIT, ANY = (0.2, 5.0), (0.05, 0.95), (-3.0, 3.0)
FUNCTIONS: list[tuple[str, Any, Any, tuple[Any, ...]]] = [
    *(
        (name, getattr(scipy, name), getattr(torch.special, other), (domain,))
        for name, other, domain in [
            ("gammaln", "gammaln", POSITIVE),
            ("psi", "digamma", POSITIVE),
            ("erf", "erf", ANY),
            ("erfc", "erfc", ANY),
            ("erfcx", "erfcx", ANY),
            ("erfinv", "erfinv", UNIT),
            ("ndtr", "ndtr", ANY),
            ("ndtri", "ndtri", UNIT),
            ("log_ndtr", "log_ndtr", (-20.0, 5.0)),
            ("expit", "expit", ANY),
            ("logit", "logit", UNIT),
            ("entr", "entr", POSITIVE),
            ("i0", "i0", ANY),
            ("i0e", "i0e", ANY),
            ("i1", "i1", ANY),
            ("i1e", "i1e", ANY),
            ("expm1", "expm1", ANY),
            ("log1p", "log1p", POSITIVE),
            ("exp2", "exp2", ANY),
        ]
    ),
    ("xlogy", scipy.xlogy, torch.special.xlogy, (ANY, POSITIVE)),
    ("xlog1py", scipy.xlog1py, torch.special.xlog1py, (ANY, UNIT)),
    ("polygamma", lambda x: special.polygamma(2, x), lambda x: torch.special.polygamma(2, x), (POSITIVE,)),
    ("multigammaln", lambda x: special.multigammaln(x, 3), lambda x: torch.mvlgamma(x, 3), ((2.0, 5.0),)),
    ("softmax", lambda x: special.softmax(x, axis=0), lambda x: torch.softmax(x, 0), (ANY,)),
    ("huber", lambda r: scipy.huber(1.3, r), lambda r: huber(r), (ANY,)),
    ("kl_div", scipy.kl_div, lambda p, q: p * (p.log() - q.log()) - p + q, (POSITIVE, POSITIVE)),
    ("betaln", scipy.betaln, lambda a, b: a.lgamma() + b.lgamma() - (a + b).lgamma(), (POSITIVE, POSITIVE)),
]


def huber(r: Any) -> Any:
    return torch.nn.functional.huber_loss(r, torch.zeros_like(r), delta=1.3, reduction="none")


def distribution(name: str, *others: Any) -> Any:
    return lambda x, *parameters: getattr(torch.distributions, name)(*others, *parameters).log_prob(x)


COUNTS = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
DENSITIES: list[tuple[str, Any, Any, tuple[Any, ...]]] = [
    ("norm", stats.norm.logpdf, distribution("Normal"), (ANY, ANY, POSITIVE)),
    (
        "t",
        stats.t.logpdf,
        lambda x, df, loc, scale: torch.distributions.StudentT(df, loc, scale).log_prob(x),
        (ANY, POSITIVE, ANY, POSITIVE),
    ),
    (
        "gamma",
        lambda x, a, rate: stats.gamma.logpdf(x, a, scale=1 / rate),
        distribution("Gamma"),
        (POSITIVE, POSITIVE, POSITIVE),
    ),
    ("beta", stats.beta.logpdf, distribution("Beta"), (UNIT, POSITIVE, POSITIVE)),
    ("chi2", stats.chi2.logpdf, distribution("Chi2"), (POSITIVE, POSITIVE)),
    (
        "poisson",
        lambda mu: stats.poisson.logpmf(COUNTS, mu),
        lambda mu: torch.distributions.Poisson(mu).log_prob(torch.tensor(COUNTS)),
        (POSITIVE,),
    ),
    (
        "binom",
        lambda p: stats.binom.logpmf(COUNTS, 6, p),
        lambda p: torch.distributions.Binomial(6, p).log_prob(torch.tensor(COUNTS)),
        (UNIT,),
    ),
    (
        "nbinom",
        lambda n, p: stats.nbinom.logpmf(COUNTS, n, p),
        lambda n, p: torch.distributions.NegativeBinomial(n, 1 - p).log_prob(torch.tensor(COUNTS)),
        (POSITIVE, UNIT),
    ),
    (
        "bernoulli",
        lambda p: stats.bernoulli.logpmf(COUNTS < 2, p),
        lambda p: torch.distributions.Bernoulli(p).log_prob(torch.tensor(COUNTS < 2).double()),
        (UNIT,),
    ),
    (
        "categorical",
        lambda z: stats.categorical.logpmf(2, logits=z),
        lambda z: torch.distributions.Categorical(logits=z).log_prob(torch.tensor(2)),
        (ANY,),
    ),
    (
        "dirichlet",
        lambda z, alpha: stats.dirichlet.logpdf(special.softmax(z), alpha),
        lambda z, alpha: torch.distributions.Dirichlet(alpha).log_prob(torch.softmax(z, 0)),
        (ANY, POSITIVE),
    ),
    (
        "multivariate_normal",
        lambda x, mean, root: stats.multivariate_normal.logpdf(x, mean, np.outer(root, root) + np.eye(5)),
        lambda x, mean, root: torch.distributions.MultivariateNormal(
            mean, torch.outer(root, root) + torch.eye(5)
        ).log_prob(x),
        (ANY, ANY, ANY),
    ),
]


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "domains"), FUNCTIONS + DENSITIES, ids=[row[0] for row in FUNCTIONS + DENSITIES]
)
def test_two_derivatives_are_those_of_pytorch(
    name: str, ours: Callable[..., Any], theirs: Callable[..., Any], domains: tuple[Any, ...]
) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(*domain, 5) for domain in domains]
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    others = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*tensors), theirs(*others)
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-10, atol=1e-12)
    weights = rng.uniform(0.5, 1, y.shape)
    first = grad(np.sum(y * weights), tensors, create_graph=True)
    slopes = torch.autograd.grad((z * torch.tensor(weights)).sum(), others, create_graph=True)
    for found, expected in zip(first, slopes, strict=True):
        np.testing.assert_allclose(found.data, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    weighted = sum(np.sum(g * np.arange(1.0, 6)) for g in first)
    second = grad(weighted, tensors)
    total = sum((g * torch.arange(1.0, 6, dtype=torch.float64)).sum() for g in slopes)
    for found, expected in zip(second, torch.autograd.grad(total, others, allow_unused=True), strict=True):
        np.testing.assert_allclose(found.data, 0 if expected is None else expected.numpy(), rtol=1e-8, atol=1e-10)
