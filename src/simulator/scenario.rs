//! What virtual browsers do: single intents that start again when superseded, and a company's busy morning.

use super::app::{Answer, ReportError, WebApp};
use super::platform::Simulator;
use super::world::{Refusal, World};
use crate::domain::ids::{TresorId, UserId};
use crate::domain::kind::Kind;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How often a browser starts again before it gives up.
const MOST_ATTEMPTS: u32 = 100;

/// Why an intent came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The platform's SDK refused to start it.
    #[error("the platform refused: {}", .0.message())]
    Platform(Refusal),
    /// The daemon could not be reached.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Stopped::Platform(refusal)
    }
}

/// Browsers and their web app.
#[derive(Clone)]
pub struct Scenario {
    simulator: Simulator,
    app: Arc<WebApp>,
}

/// The people of the company.
pub struct Cast {
    /// Validated employees.
    pub employees: Vec<UserId>,
    /// A validated user of a partner company.
    pub partner: UserId,
    /// A validated user whose domain nobody knows.
    pub stranger: UserId,
    /// A validated user who needs a look.
    pub guest: UserId,
}

impl Scenario {
    /// Browsers on a platform, and the web app that reports for them.
    #[must_use]
    pub const fn new(simulator: Simulator, app: Arc<WebApp>) -> Self {
        Self { simulator, app }
    }

    /// The web app.
    #[must_use]
    pub fn app(&self) -> &WebApp {
        &self.app
    }

    /// The platform.
    #[must_use]
    pub const fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Starts an operation, reports it, and starts again whenever it is superseded.
    ///
    /// # Errors
    /// The platform does not let it start, or the daemon cannot be reached.
    pub async fn pursue(
        &self,
        kind: Kind,
        requester: &UserId,
        start: impl Fn(&mut World, jiff::Timestamp) -> Result<String, Refusal>,
    ) -> Result<Answer, Stopped> {
        let mut flow: Option<String> = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let id = start(&mut self.simulator.world(), self.simulator.now())?;
            let data = self.app.data(kind, &id, requester, flow.as_deref());
            let mut answer = self.app.report(&data, 60, self.simulator.now().as_second()).await?;
            // Not settled yet is no reason to start again: the same operation is asked for once more.
            while answer.status == 202 {
                answer = self.app.report(&data, 60, self.simulator.now().as_second()).await?;
            }
            if answer.state() != "superseded" || attempts >= MOST_ATTEMPTS {
                return Ok(answer);
            }
            flow = Some(answer.text("flow_id").to_owned());
        }
    }

    /// Shares a tresor.
    ///
    /// # Errors
    /// See [`Scenario::pursue`].
    pub async fn share(&self, by: &UserId, about: &UserId, tresor: &TresorId) -> Result<Answer, Stopped> {
        self.pursue(Kind::Share, by, |world, now| world.share(by, about, tresor, now)).await
    }

    /// Kicks a member.
    ///
    /// # Errors
    /// See [`Scenario::pursue`].
    pub async fn kick(&self, by: &UserId, about: &UserId, tresor: &TresorId) -> Result<Answer, Stopped> {
        self.pursue(Kind::Kick, by, |world, now| world.kick(by, about, tresor, now)).await
    }

    /// Creates a tresor; the tresor and what came of it.
    ///
    /// # Errors
    /// See [`Scenario::pursue`].
    pub async fn create_tresor(&self, by: &UserId) -> Result<(TresorId, Answer), Stopped> {
        let tresor = self.simulator.world().create_tresor(by)?;
        let answer = self.pursue(Kind::TresorCreation, by, |_, _| Ok(tresor.to_string())).await?;
        Ok((tresor, answer))
    }

    /// Makes an invitation link; its name and what came of it.
    ///
    /// # Errors
    /// See [`Scenario::pursue`].
    pub async fn create_link(&self, by: &UserId, tresor: &TresorId) -> Result<(String, Answer), Stopped> {
        let made = std::sync::Mutex::new(String::new());
        let answer = self
            .pursue(Kind::InvitationLinkCreation, by, |world, now| {
                let (operation, link) = world.create_link(by, tresor, now)?;
                *made.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = link;
                Ok(operation)
            })
            .await?;
        Ok((made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), answer))
    }

    /// Follows an invitation link.
    ///
    /// # Errors
    /// See [`Scenario::pursue`].
    pub async fn accept_link(&self, maker: &UserId, about: &UserId, tresor: &TresorId, link: &str) -> Result<Answer, Stopped> {
        self.pursue(Kind::InvitationLinkAcception, about, |world, now| world.accept_link(maker, about, tresor, link, now)).await
    }

    /// Revokes an invitation link.
    ///
    /// # Errors
    /// See [`Scenario::pursue`].
    pub async fn revoke_link(&self, by: &UserId, tresor: &TresorId, link: &str) -> Result<Answer, Stopped> {
        self.pursue(Kind::InvitationLinkRevocation, by, |world, now| world.revoke_link(by, tresor, link, now)).await
    }

    /// Registers a new user whom the web app knows by these claims, and asks for the validation.
    ///
    /// # Errors
    /// See [`Scenario::pursue`].
    pub async fn register(&self, claims: Value) -> Result<(UserId, Answer), Stopped> {
        let (user, registration) = self.simulator.world().begin_registration()?;
        self.app.know(&user, claims);
        let mut data = self.app.data(Kind::UserValidation, user.as_str(), &user, None);
        if let Some(map) = data.as_object_mut() {
            map.insert("registration".to_owned(), registration);
        }
        let answer = self.app.report(&data, 60, self.simulator.now().as_second()).await?;
        Ok((user, answer))
    }

    /// A validated user whom the web app knows by these claims.
    ///
    /// # Errors
    /// The platform refuses.
    pub fn add_user(&self, claims: Value) -> Result<UserId, Stopped> {
        let user = self.simulator.world().add_user()?;
        self.app.know(&user, claims);
        Ok(user)
    }

    /// The people of the company, without asking anybody.
    ///
    /// # Errors
    /// The platform refuses.
    pub fn cast(&self) -> Result<Cast, Stopped> {
        let names = ["ann", "ben", "cleo", "dan", "eve", "finn", "gil", "hana", "ida", "jon", "kim", "leo", "mia", "noa"];
        let employee = |name: &&str| self.add_user(json!({ "email": format!("{name}@example.com"), "groups": ["staff"] }));
        Ok(Cast {
            employees: names.iter().map(employee).collect::<Result<_, _>>()?,
            partner: self.add_user(json!({ "email": "pat@legal.example.org", "groups": ["partner"] }))?,
            stranger: self.add_user(json!({ "email": "sly@elsewhere.example" }))?,
            guest: self.add_user(json!({ "email": "gus@legal.example.org", "groups": ["guest"] }))?,
        })
    }

    /// A company's morning: all seven kinds, with what a policy would want to stop among them. `pause` between acts.
    ///
    /// # Errors
    /// The daemon cannot be reached, or the platform does not let an act start.
    pub async fn morning(&self, pause: Duration) -> Result<(), Stopped> {
        let cast = self.cast()?;
        let [ann, ben, cleo, rest @ ..] = cast.employees.as_slice() else { return Ok(()) };
        // New colleagues register, and somebody who should not.
        for email in
            ["olga@example.com", "pete@example.com", "quinn@legal.example.org", "bot@mailinator.com", "rob@elsewhere.example"]
        {
            self.register(json!({ "email": email })).await?;
            tokio::time::sleep(pause).await;
        }
        let (board, _) = self.create_tresor(ann).await?;
        let (team, _) = self.create_tresor(ben).await?;
        let (legal, _) = self.create_tresor(cleo).await?;
        self.create_tresor(&cast.stranger).await?;
        tokio::time::sleep(pause).await;
        // Two browsers race on one tresor: one of them is superseded and starts again.
        let (first, second) = tokio::join!(self.share(ann, ben, &board), self.share(ann, cleo, &board));
        first?;
        second?;
        tokio::time::sleep(pause).await;
        self.share(ann, &cast.stranger, &board).await?;
        self.share(ann, &cast.guest, &board).await?;
        self.share(ann, &cast.partner, &board).await?;
        // Ben fills his tresor, one colleague after the other, until he has shared too much for one hour.
        for colleague in rest.iter().chain([ann, cleo]) {
            self.share(ben, colleague, &team).await?;
            tokio::time::sleep(pause).await;
        }
        // Cleo and her colleagues fill theirs until it is full.
        for (index, colleague) in rest.iter().enumerate() {
            let by = if index < 6 { cleo } else { rest.first().unwrap_or(cleo) };
            self.share(by, colleague, &legal).await?;
            tokio::time::sleep(pause).await;
        }
        // Somebody who did not create the tresor tries to kick; then its creator does.
        if let [dan, eve, finn, ..] = rest {
            self.kick(dan, eve, &team).await?;
            self.kick(ben, eve, &team).await?;
            self.kick(ben, finn, &team).await?;
            self.kick(cleo, eve, &legal).await?;
        }
        tokio::time::sleep(pause).await;
        // Invitation links: made, followed by one who may and one who may not, revoked.
        let (link, _) = self.create_link(ann, &board).await?;
        let (other, _) = self.create_link(ben, &team).await?;
        for follower in rest.iter().take(3).chain([&cast.stranger]) {
            self.accept_link(ann, follower, &board, &link).await?;
            tokio::time::sleep(pause).await;
        }
        self.accept_link(ben, &cast.partner, &team, &other).await?;
        self.revoke_link(ann, &board, &link).await?;
        self.revoke_link(ben, &team, &other).await?;
        // Everybody makes a tresor of their own, and two more races are run.
        for by in [ann, ben, cleo].into_iter().chain(rest.iter().take(4)) {
            self.create_tresor(by).await?;
            tokio::time::sleep(pause).await;
        }
        if let [.., mia, noa] = rest {
            let (ours, _) = self.create_tresor(mia).await?;
            let (first, second) = tokio::join!(self.share(mia, noa, &ours), self.create_link(mia, &ours));
            first?;
            second?;
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
