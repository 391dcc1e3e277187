"""The card above the curve: where one stands, in a few words, and what to press next."""

from loralab_tui.config import keymap
from loralab_tui.engine.installing import Install
from loralab_tui.runs.away import Away
from loralab_tui.states.run_cards import Card, failed, run_card
from loralab_tui.states.trouble import before_training
from loralab_tui.studio import Studio
from loralab_tui.widgets.progress import bar

BAR = 32  # cells: it also fits on the narrow screen


def card(studio: Studio) -> Card | None:
    """What is the matter now and what to press; None while the training shows it by itself."""
    if studio.silent_s:
        return Card(
            f"The engine has not answered for {studio.silent_s} s",
            "It may be busy or frozen. The run is a directory and stays whole; wait, or leave with "
            f"{keymap.name('quit')} and come back.",
            "bad",
        )
    if studio.install is not None:
        return _install_card(studio.install)
    if studio.run is not None and studio.away is not None:
        return _away_card(studio.away, run_card(studio.run))
    if studio.run is not None:
        return run_card(studio.run)
    if studio.opening:
        return _opening_card(studio)
    if studio.trouble:
        return _trouble_card(studio.trouble)
    return _setup_card(studio)


def _away_card(away: Away, now: Card | None) -> Card:
    """What happened, and behind it what there is to press now."""
    then = f"{now.title}. {now.text}" if now is not None else away.ended
    return Card(away.title, "\n".join(part for part in (away.text, then, "Esc closes this.") if part), "plain")


def _opening_card(studio: Studio) -> Card:
    """Being read, told in bytes. What waits for it is said, so that nobody waits for nothing."""
    share = studio.opening_share
    drawn = "".join(bar(share, BAR)) + "\n" if share else ""  # none for what has no size, which stays at 0
    cancel = f" {keymap.name('stop')} cancels." if share is not None else ""
    return Card(_upper(studio.opening), f"{drawn}You can ask and train as soon as it is there.{cancel}")


def _trouble_card(why: str) -> Card:
    if "was given up" in why:
        return Card("The model is not open", f"{keymap.name('model')} opens it or chooses another.")
    if "was cancelled" in why:
        return Card(
            "The model is not loaded",
            f"{keymap.name('model')} chooses another. {keymap.name('train')} or a question loads it.",
        )
    return failed(before_training(why), why)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _install_card(install: Install) -> Card:
    if install.failed:
        log = f"\nThe whole story: {install.log}" if install.log else ""
        why = install.why.rstrip(".")
        return Card(
            "The engine could not be installed",
            f"{why}.\n{keymap.name('train')} tries again; `make setup` in a shell installs everything.{log}",
            "bad",
        )
    drawn = "".join(bar(install.share, BAR)) + "\n" if install.share is not None else ""
    return Card(install.sentence, f"{drawn}The model opens by itself when it is there; look around meanwhile.")


def _setup_card(studio: Studio) -> Card:
    if studio.offers_live:
        return Card(
            f"{studio.live_elsewhere} is training now",
            f"{keymap.name('train')} shows it and lets you talk to it. "
            f"{keymap.name('runs')} lists all runs · {keymap.name('model')} chooses a model for a new one.",
            "good",
        )
    if studio.model is None or studio.corpus is None:
        return Card(
            "Here you will watch the loss fall",
            "Training leaves the model itself as it is and learns a small adapter beside it (LoRA) from your corpus. "
            "The lower the loss, the better it foretells that text.",
        )
    sentence = studio.plan.sentence(studio.corpus.name, studio.corpus.note)
    forecast = f" {studio.forecast}" if studio.forecast else ""
    others = f"{keymap.name('settings')} changes it · {keymap.name('data')} shows what the model will see"
    return Card("Ready", f"{keymap.name('train')} {sentence}{forecast}\n{others}", "good")
