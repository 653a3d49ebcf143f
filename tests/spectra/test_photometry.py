"""The flux of a source in one image: true on average, with honest errors, and what spoils it."""

from __future__ import annotations

from dataclasses import astuple

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.modeling.fitting import TRFLSQFitter
from astropy.table import QTable
from photutils.psf import ImagePSF, PSFPhotometry
from point_sources import BASE, MIDDLE, SKY, SLOPE, SOLID_ANGLE, blank, fill, flux_of, stamp
from scipy.interpolate import RectBivariateSpline

from spherex_butler.errors import ParameterError, SpherexButlerWarning
from spherex_butler.spectra import Measurement, Method, measure

RELEASES = ("qr2", "qr3")
CENTER = (MIDDLE + 0.2, MIDDLE - 0.35)


def measured(image, x, y, **options):
    return measure(image, x, y, solid_angle=SOLID_ANGLE, **options)


def trials(release, significance, number, *, seed=1, method=None):
    """Return true flux, and fluxes and errors measured, of a source at random places within a pixel."""
    random = np.random.default_rng(seed)
    image = blank(release)
    flux = flux_of(significance, stamp(image, MIDDLE, MIDDLE))
    found = []
    for _ in range(number):
        x, y = MIDDLE + random.uniform(-0.5, 0.5, 2)
        fill(image, flux * stamp(image, x, y), random)
        found.append(measured(image, x, y, method=method))
    return flux, np.array([one.flux for one in found]), np.array([one.flux_error for one in found])


def nmad(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("significance", [1, 10, 100])
def test_fluxes_are_true_on_average_and_their_errors_are_honest(release, significance):
    number = 300
    flux, fluxes, errors = trials(release, significance, number)
    assert fluxes.mean() == pytest.approx(flux, abs=0.005 * flux + 3.5 * fluxes.std() / np.sqrt(number))
    pulls = (fluxes - flux) / errors
    # The scatter of NMAD itself is 1.17 / sqrt(2 n); benchmarks/spectra.py has the numbers for it to be within 0.05.
    assert nmad(pulls) == pytest.approx(1, abs=0.05 + 3 * 1.17 / np.sqrt(2 * number))
    assert errors.mean() == pytest.approx(fluxes.std(), rel=0.15)


@pytest.mark.parametrize("release", RELEASES)
def test_flux_without_noise_is_exact(release):
    image = blank(release)
    fill(image, 5.0 * stamp(image, *CENTER))
    found = measured(image, *CENTER)
    assert found.flux == pytest.approx(5.0, rel=1e-4)
    assert found.background == pytest.approx(SKY + 0.2e-3 + 0.35 * 5e-4, rel=1e-4)
    assert found.masked_fraction == 0
    assert found.flags == 0


def test_negative_flux_is_kept():
    image = blank()
    fill(image, -0.05 * stamp(image, *CENTER))
    assert measured(image, *CENTER).flux == pytest.approx(-0.05, rel=1e-3)


def centroid(kernel):
    y, x = np.indices(kernel.shape)
    return ((kernel * x).sum() / kernel.sum(), (kernel * y).sum() / kernel.sum())


def seen_by_pixels(kernel):
    """Return a kernel of ten samples a pixel as pixels see it, integrated by a spline; photutils wants a sum of 100."""
    places = np.arange(kernel.shape[0])
    spline = RectBivariateSpline(places, places, kernel)
    seen = [[spline.integral(y - 5, y + 5, x - 5, x + 5) for x in places] for y in places]
    return np.array(seen) * 100 / np.sum(seen)


@pytest.mark.parametrize("release", RELEASES)
def test_flux_agrees_with_photutils_psf_photometry(release):
    random = np.random.default_rng(5)
    image = blank(release)
    kernel = image.psf.at(*CENTER).astype(float)
    if release == "qr3":
        model = ImagePSF(kernel, oversampling=5)
    else:
        model = ImagePSF(seen_by_pixels(kernel), oversampling=10, origin=centroid(kernel))
    model.x_0.fixed = model.y_0.fixed = True
    photometry = PSFPhotometry(model, (7, 7), fitter=TRFLSQFitter())
    for significance in (5, 50):
        flux = flux_of(significance, stamp(image, *CENTER))
        fill(image, flux * stamp(image, *CENTER), random)
        found = measured(image, *CENTER)
        rows, columns = np.indices(image.data.shape)
        plane = SKY + 1e-3 * (columns - MIDDLE) - 5e-4 * (rows - MIDDLE)
        noise = np.sqrt(BASE + SLOPE * (SKY + flux * stamp(image, *CENTER)))
        start = QTable({"x": [CENTER[0]], "y": [CENTER[1]], "flux": [flux]})
        theirs = photometry(image.data - plane, error=noise, init_params=start)["flux_fit"][0]
        # Their background is the true one, and ours was measured.
        own_plane = found.background_error * stamp(image, *CENTER).sum() / (stamp(image, *CENTER) ** 2).sum()
        assert abs(found.flux - theirs) < 0.1 * found.flux_error + 3 * own_plane


def test_a_pair_two_pixels_apart_is_told_apart():
    image = blank()
    other = (CENTER[0] + 2.0, CENTER[1])
    fill(image, 3.0 * stamp(image, *CENTER) + 5.0 * stamp(image, *other))
    assert measured(image, *CENTER).flux > 3.02
    assert measured(image, *CENTER, neighbours=[other]).flux == pytest.approx(3.0, rel=1e-3)
    random = np.random.default_rng(3)
    fluxes = [
        measured(
            fill(image, 3.0 * stamp(image, *CENTER) + 5.0 * stamp(image, *other), random), *CENTER, neighbours=[other]
        ).flux
        for _ in range(30)
    ]
    assert np.mean(fluxes) == pytest.approx(3.0, rel=0.02)


def test_a_neighbour_that_is_the_source_itself_changes_nothing():
    image = fill(blank(), 3.0 * stamp(blank(), *CENTER), np.random.default_rng(2))
    alone = measured(image, *CENTER)
    assert measured(image, *CENTER, neighbours=[CENTER, (-50.0, 3.0)]) == alone


def test_a_neighbour_that_can_hardly_be_told_apart_is_warned_of_and_has_an_honest_error():
    other = (CENTER[0] + 0.2, CENTER[1])
    image = blank()
    light = 3.0 * stamp(image, *CENTER) + 3.0 * stamp(image, *other)
    pulls, errors = [], []
    random = np.random.default_rng(1)
    alone = measured(fill(image, light, random), *CENTER).flux_error
    for _ in range(40):
        fill(image, light, random)
        with pytest.warns(SpherexButlerWarning, match=r"less than 0\.5 pixel from its source: .* remove one"):
            found = measured(image, *CENTER, neighbours=[other])
        pulls.append((found.flux - 3.0) / found.flux_error)
        errors.append(found.flux_error)
    assert np.median(errors) > 2.5 * alone
    assert np.std(pulls) == pytest.approx(1, abs=0.4)
    measured(image, *CENTER, neighbours=[(CENTER[0] + 0.6, CENTER[1])])


def test_many_neighbours_are_as_good_as_few():
    random = np.random.default_rng(4)
    image = fill(blank(), 3.0 * stamp(blank(), *CENTER), random)
    turns = np.linspace(0, 2 * np.pi, 130, endpoint=False)
    around = [(CENTER[0] + 12 * np.cos(turn), CENTER[1] + 12 * np.sin(turn)) for turn in turns]
    few, many = (measured(image, *CENTER, neighbours=around[::step]) for step in (26, 1))
    assert many.flux == pytest.approx(few.flux, abs=few.flux_error)
    assert measured(image, *CENTER, neighbours=around[::-1]).flux == pytest.approx(many.flux, rel=1e-6)


def mean_excess(image, light, flux, *, pairs):
    """Return by how much fluxes are too high on average, over pairs of opposite noise, which are free of most of it."""
    random = np.random.default_rng(2)
    found = []
    for _ in range(pairs):
        seen = fill(image, light, random).data.astype(float)
        found.append(measured(image, *CENTER).flux)
        truth = fill(image, light).data.astype(float)
        image.data = (2 * truth - seen).astype(np.float32)
        found.append(measured(image, *CENTER).flux)
    return np.mean(found) / flux - 1


def test_light_beyond_the_core_counts_as_background_and_is_all_that_is_lost():
    image = blank("qr3", 6)
    kernel = stamp(image, *CENTER)
    flux = flux_of(30, kernel)
    core = np.where(kernel < 0.01 * kernel.max(), 0, kernel)
    assert -3e-4 < mean_excess(image, flux * kernel, flux, pairs=150) < -5e-5
    assert mean_excess(image, flux * core, flux, pairs=150) == pytest.approx(0, abs=4e-5)


# What people get wrong.


def test_integrating_the_effective_psf_again_would_lose_several_percent_of_the_core():
    image = blank("qr3")
    kernel = stamp(image, MIDDLE, MIDDLE)
    again = np.zeros_like(kernel)
    for dy in np.linspace(-0.4, 0.4, 5):
        for dx in np.linspace(-0.4, 0.4, 5):
            again += stamp(image, MIDDLE + dx, MIDDLE + dy) / 25 if abs(dx) < 0.5 else 0
    lost = 1 - again[MIDDLE, MIDDLE] / kernel[MIDDLE, MIDDLE]
    assert 0.04 < lost < 0.3
    biased = (again * kernel).sum() / (again**2).sum()
    assert biased > 1.03
    fill(image, 2.0 * kernel)
    assert measured(image, MIDDLE, MIDDLE).flux == pytest.approx(2.0, rel=1e-3)


def test_weights_from_the_measured_variance_would_bias_faint_fluxes_low():
    random = np.random.default_rng(7)
    image = blank()
    kernel = stamp(image, *CENTER)
    flux = flux_of(5, kernel)
    naive, ours = [], []
    sky = 0.045  # MJy/sr, at which noise of 0.01 changes a variance that is of light alone by a quarter
    for _ in range(400):
        image.data = random.normal(sky + flux * kernel, np.sqrt(BASE * (1 + flux * kernel / sky))).astype(np.float32)
        image.uncertainty.array[:] = BASE * np.clip(image.data / sky, 0.1, None)
        above = image.data - sky
        weights = 1 / image.variance
        naive.append((weights * kernel * above).sum() / (weights * kernel**2).sum())
        ours.append(measured(image, *CENTER).flux)
    error = np.std(ours) / np.sqrt(400)
    assert np.mean(naive) < 0.97 * flux  # by 5 %, five errors of the mean
    assert np.mean(ours) == pytest.approx(flux, abs=3.5 * error)


# What is left out.


@pytest.mark.parametrize("name", ["HOT", "NONFUNC", "OVERFLOW", "PERSIST"])
def test_pixels_with_a_bad_flag_are_left_out_of_the_fit(name):
    image = blank()
    fill(image, 3.0 * stamp(image, *CENTER))
    row, column = MIDDLE, MIDDLE + 1
    image.data[row, column] += 100
    image.flags[row, column] |= 1 << image.flag_definitions[name]
    found = measured(image, *CENTER)
    assert found.flux == pytest.approx(3.0, rel=1e-3)
    assert found.masked_fraction == pytest.approx(stamp(image, *CENTER)[row, column], rel=0.05)
    assert found.flags == 1 << image.flag_definitions[name]


def test_source_pixels_are_fitted_but_tell_nothing_of_the_background():
    image = blank()
    fill(image, 3.0 * stamp(image, *CENTER))
    source = 1 << image.flag_definitions["SOURCE"]
    image.flags[MIDDLE - 3 : MIDDLE + 4, MIDDLE - 3 : MIDDLE + 4] |= source
    image.flags[:, :8] |= source
    image.data[:, :8] += 0.02
    found = measured(image, *CENTER)
    assert found.flux == pytest.approx(3.0, rel=1e-3)
    assert found.masked_fraction == 0
    assert found.flags == source


def test_outliers_are_left_out_of_the_background_alone():
    image = blank()
    fill(image, 3.0 * stamp(image, *CENTER))
    outlier = 1 << image.flag_definitions["OUTLIER"]
    image.flags[MIDDLE, MIDDLE] |= outlier
    image.flags[3, 3:9] |= outlier
    image.data[3, 3:9] += 0.02
    assert measured(image, *CENTER).flux == pytest.approx(3.0, rel=1e-3)


def test_pixels_that_are_no_number_are_left_out():
    image = blank()
    fill(image, 3.0 * stamp(image, *CENTER))
    image.data[MIDDLE, MIDDLE + 1] = np.nan
    image.uncertainty.array[MIDDLE + 1, MIDDLE] = 0
    found = measured(image, *CENTER)
    assert found.flux == pytest.approx(3.0, rel=1e-3)
    assert found.masked_fraction > 0.1


def test_source_at_the_edge_says_how_much_of_it_is_outside():
    image = blank()
    x, y = 0.0, float(MIDDLE)
    fill(image, 3.0 * stamp(image, x, y))
    found = measured(image, x, y)
    assert found.flux == pytest.approx(3.0, rel=2e-3)
    assert found.masked_fraction == pytest.approx(1 - stamp(image, x, y).sum(), abs=0.02)
    assert found.masked_fraction > 0.05


def test_nothing_is_measured_where_no_pixel_can_be_used():
    image = blank()
    image.flags[:] = 1 << image.flag_definitions["HOT"]
    found = measured(image, *CENTER)
    numbers = Measurement(*astuple(found))
    assert np.isnan([numbers.flux, numbers.flux_error, numbers.background, numbers.chi2]).all()
    assert found.masked_fraction == pytest.approx(1)


def test_chi2_tells_a_good_fit_from_a_bad_one():
    image = blank()
    random = np.random.default_rng(4)
    good = [measured(fill(image, 3.0 * stamp(image, *CENTER), random), *CENTER).chi2 for _ in range(100)]
    assert np.mean(good) == pytest.approx(1, abs=0.17)
    assert measured(image, CENTER[0] + 0.7, CENTER[1]).chi2 > 10


def test_aperture_is_corrected_for_what_is_beyond_it():
    image = blank()
    fill(image, 3.0 * stamp(image, *CENTER))
    for radius in (1.0, 2.0, 4.0):
        assert measured(image, *CENTER, method=Method(aperture=radius)).flux == pytest.approx(3.0, rel=1e-3)


def test_errors_of_apertures_are_honest_and_larger_than_those_of_the_filter():
    flux, fluxes, errors = trials("qr2", 20, 200, method=Method(aperture=2.0))
    assert nmad((fluxes - flux) / errors) == pytest.approx(1, abs=0.2)
    assert fluxes.mean() == pytest.approx(flux, rel=0.02)
    assert errors.mean() > 1.1 * flux / 20


@pytest.mark.parametrize("radius", [0, -1, float("nan"), float("inf")])
def test_an_aperture_needs_a_radius(radius):
    with pytest.raises(ParameterError, match=r"aperture=.* is not a radius; expected a number of pixels above 0"):
        Method(aperture=radius)


def test_misspelt_flags_are_refused_where_their_pixels_would_be_used():
    with pytest.raises(ParameterError, match=r"bad_flags has 'HOTT', which no image defines; did you mean 'HOT'\?"):
        measure(blank(), MIDDLE, MIDDLE, solid_angle=SOLID_ANGLE, method=Method(bad_flags=("HOTT",)))
    measure(blank(), MIDDLE, MIDDLE, solid_angle=SOLID_ANGLE, method=Method(bad_flags=("CROSSTALK",)))  # of QR3 only


@pytest.mark.parametrize("solid_angle", [0, -1, np.inf, None, 1 * u.m])
def test_what_is_no_solid_angle_is_refused(solid_angle):
    with pytest.raises(ParameterError, match=r"solid_angle=.* is no solid angle; expected that of a pixel in sr"):
        measure(blank(), MIDDLE, MIDDLE, solid_angle=solid_angle)


def test_solid_angle_may_be_a_quantity():
    image = fill(blank(), 3 * stamp(blank(), MIDDLE, MIDDLE))
    expected = measure(image, MIDDLE, MIDDLE, solid_angle=SOLID_ANGLE)
    found = measure(image, MIDDLE, MIDDLE, solid_angle=(SOLID_ANGLE * u.sr).to(u.arcsec**2))
    assert found.flux == pytest.approx(expected.flux, rel=1e-12)


@pytest.mark.parametrize("aperture", ["2", 2 * u.arcsec, np.nan, True, 1e308])
def test_apertures_are_numbers_of_pixels(aperture):
    with pytest.raises(ParameterError, match="is not a radius; expected a number of pixels above 0"):
        Method(aperture=aperture)


@pytest.mark.parametrize("unit", ["Jy", "", "MJy / arcsec2"])
def test_images_in_another_unit_are_refused(unit):
    image = blank()
    image.unit = unit
    with pytest.raises(ParameterError, match=r"The image is in .*; expected MJy / sr, to which convert_unit_to"):
        measured(image, *CENTER)


@pytest.mark.parametrize("neighbours", [[1, 2], "x", SkyCoord([1], [2], unit="deg"), [(1, 2, 3)], [("a", "b")]])
def test_neighbours_are_pairs_of_pixels(neighbours):
    with pytest.raises(ParameterError, match=r"The neighbours are .*; expected pairs \(x, y\)"):
        measured(blank(), *CENTER, neighbours=neighbours)


def test_neighbours_may_be_an_array():
    image = fill(blank(), 3 * stamp(blank(), *CENTER) + stamp(blank(), 18, 18))
    pairs = [(18.0, 18.0), (np.nan, 2.0)]
    assert measured(image, *CENTER, neighbours=np.array(pairs)) == measured(image, *CENTER, neighbours=pairs)


@pytest.mark.parametrize("method", ["aperture", 2, False])
def test_a_method_is_a_method(method):
    with pytest.raises(ParameterError, match=r"is no Method; expected one, such as Method\(aperture=2\)"):
        measured(blank(), *CENTER, method=method)


def test_the_name_of_one_flag_is_no_list_of_names():
    with pytest.raises(ParameterError, match=r"bad_flags='HOT' is text; expected names of flags, such as \('HOT',\)"):
        Method(bad_flags="HOT")
