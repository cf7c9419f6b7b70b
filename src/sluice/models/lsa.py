"""Starting values for token embeddings from the training rows alone, by latent semantic analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def lsa_embeddings(ids: Sequence[Sequence[int]], vocabulary: int, width: int, seed: int) -> npt.NDArray[np.float32]:
    """Tokens that occur in the same rows start near each other (Deerwester et al. 1990); shape (vocabulary, width).

    A truncated singular value decomposition of the TF-IDF matrix, tokens by rows. Rare tokens get short vectors, since
    little is known of them; tokens that never occur get zeros. The standard deviation is 1.
    """
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer

    lengths = [len(row) for row in ids]
    tokens = np.concatenate([np.asarray(row, np.int64) for row in ids])
    rows = np.repeat(np.arange(len(ids)), lengths)
    counts = csr_matrix((np.ones(len(rows), np.float32), (rows, tokens)), shape=(len(ids), vocabulary))
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    width_found = min(width, len(ids) - 1, vocabulary - 1)
    vectors = TruncatedSVD(width_found, n_iter=2, random_state=seed).fit_transform(weights.T.tocsr())
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    usual = np.median(norms[norms > 0])
    vectors = vectors / np.maximum(norms, 1e-9) * np.minimum(1, norms / usual)
    full = np.zeros((vocabulary, width), np.float32)
    full[:, :width_found] = vectors / vectors.std()
    return full


def start_embeddings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[Sequence[int]]) -> None:
    """Overwrite a model's drawn embeddings of all tokens that occur, in the scale that its architecture draws with."""
    import torch

    weight = model.get_input_embeddings().weight
    vectors = torch.from_numpy(lsa_embeddings(ids, len(tokenizer), weight.shape[1], seed=0))
    known = vectors.abs().sum(dim=1) > 0
    known[tokenizer.all_special_ids] = False
    with torch.no_grad():
        weight[known] = model.config.initializer_range * vectors[known]
