"""The face autoencoder: shapes, scaling, and pixels outside the mask that the decoder leaves unchanged."""

import pytest
import torch

from dithead.models.autoencoder.face import AutoencoderConfig, FaceAutoencoder

CONFIG = AutoencoderConfig(8, (8, 16, 16, 16), (8, 8, 8))


def pictures(size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    image = torch.rand(2, 3, size, size) * 2 - 1
    mask = torch.zeros(2, 1, size, size)
    mask[:, :, size // 2 :] = 1
    return image, image * (1 - mask), mask


def test_latent_is_sixteen_times_smaller_and_round_trip_keeps_the_shape() -> None:
    model, (image, masked, mask) = FaceAutoencoder(CONFIG), pictures()
    z = model.encode(image)
    assert z.shape == (2, 8, 4, 4)
    assert model.decode(z, masked, mask, image).shape == image.shape


def test_pixels_outside_the_mask_are_unchanged() -> None:
    model, (image, masked, mask) = FaceAutoencoder(CONFIG), pictures()
    out = model.decode(model.encode(image), masked, mask, image.flip(0))
    outside = mask.expand_as(image) == 0
    assert torch.equal(out[outside], image[outside])


def test_statistics_make_latents_unit_variance() -> None:
    model = FaceAutoencoder(CONFIG)
    images = torch.rand(64, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        model.set_statistics(model.encoder(images))
        z = model.encode(images)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(8), atol=1e-3, rtol=0)


def test_statistics_do_not_change_what_is_decoded() -> None:
    model, (image, masked, mask) = FaceAutoencoder(CONFIG).eval(), pictures()
    with torch.no_grad():
        before = model.decode(model.encode(image), masked, mask, image)
        model.set_statistics(model.encoder(image))
        after = model.decode(model.encode(image), masked, mask, image)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_the_decoder_uses_the_reference() -> None:
    model, (image, masked, mask) = FaceAutoencoder(CONFIG), pictures()
    z = model.encode(image)
    assert not torch.allclose(model.decode(z, masked, mask, image), model.decode(z, masked, mask, -image))


def test_sizes_that_do_not_divide_raise() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        FaceAutoencoder(CONFIG).encode(torch.zeros(1, 3, 60, 60))
    with pytest.raises(ValueError, match="positive"):
        AutoencoderConfig(latent_channels=0)


def test_masked_frames_may_have_an_encoder_and_the_decoder_channels_of_its_own() -> None:
    config = AutoencoderConfig(8, (8, 16, 16, 16), (8, 8, 8), (8, 8, 8, 8), (4, 8, 8, 8))
    model, (image, masked, mask) = FaceAutoencoder(config).eval(), pictures()
    smaller, larger = (sum(p.numel() for p in m.parameters()) for m in (model.decoder, FaceAutoencoder(CONFIG).decoder))
    assert smaller < larger
    with torch.no_grad():
        z, known = model.encode(image), model.encode_masked(masked)
        assert known.shape == z.shape
        assert not torch.equal(known, model.encode(masked))
        assert model.decode(z, masked, mask, image).shape == image.shape
        before = model.encode_masked(masked)
        model.set_statistics(model.encoder(image))  # both encoders share the latents' statistics
        raw = before * torch.ones(1) + 0
        torch.testing.assert_close(model.encode_masked(masked), (raw - model.latent_mean) / model.latent_std)
