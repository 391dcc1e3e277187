"""F2 where there is more than one way on: a run that is done, or one that failed for a reason with remedies."""

from textual import work

from loralab_core.errors import LoraLabError
from loralab_tui.actions.starting import StartActions
from loralab_tui.config import keymap
from loralab_tui.plan import Plan
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.states.run_cards import run_trouble
from loralab_tui.states.trouble import Trouble


class GoingOn(StartActions):
    def refused_by_phase(self) -> bool:
        """Between two states there is nothing to press: said, so that nobody presses again."""
        run, stop = self.studio.run, keymap.name("stop")
        if run is not None and run.phase is Phase.PREPARING:
            self.tell(f"{run.name} is being prepared and begins by itself; {stop} stops it.")
        elif run is not None and run.phase is Phase.STOPPING:
            self.tell(f"{run.name} is being stopped; once its checkpoint is written {keymap.name('train')} resumes it.")
        return run is not None and run.phase in (Phase.PREPARING, Phase.STOPPING)

    def asks_how(self) -> bool:
        """Whether F2 asks instead of acting at once."""
        run = self.studio.run
        if run is not None and run.phase is Phase.DONE:
            self.ask_onwards(run)
            return True
        if run is not None and run.phase is Phase.FAILED and run_trouble(run).remedies:
            self.ask_remedy(run_trouble(run))
            return True
        return False

    @work(group="dialog", exclusive=True)
    async def ask_onwards(self, run: RunView) -> None:
        from loralab_tui.screens.again import TrainOn

        corpus = self.studio.corpus
        sentence = self.studio.plan.sentence(corpus.name, corpus.note) if corpus else "needs a corpus first."
        chosen = await self.push_screen_wait(TrainOn(run, sentence))
        if chosen is not None and chosen.steps is not None:
            self.do("run", self.runs.train_on, chosen.steps)
        elif chosen is not None:
            self.do("run", self.runs.train_key)

    @work(group="dialog", exclusive=True)
    async def ask_remedy(self, what: Trouble) -> None:
        from loralab_tui.screens.again import Remedies

        plan = await self.push_screen_wait(Remedies(what, self.studio.plan))
        if plan is not None:
            self.do("run", self._start_again, plan)

    async def _start_again(self, plan: Plan) -> None:
        await self.setup.use_plan(plan)
        await self.runs.train_key()

    async def cancel_load(self) -> None:
        """Nothing trains, but a model is being downloaded or read."""
        self.link.give_up()
        try:
            await self.link.cancel_load()
        except LoraLabError:  # it was read, or its engine ended, in the meantime
            self.main.show()
