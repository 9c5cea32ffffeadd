//! German. Users are addressed as in the apps of this network: „du“.

use causeway_flow::upstream::connect::SignInTrouble;
use causeway_types::Timestamp;

use super::{
    Account, Connect, Consent, DataDeletion, Demo, Device, Error, FormPost, Home, Logout, ProblemWords,
    Scopes, SignIn, Text,
};
use crate::pages::notice::{AccountNotice, DeviceTrouble};
use crate::pages::problem::{NotConnected, Problem};
use crate::pages::time::{self, Ago, Day};

pub(in crate::pages) static DE: Text = Text {
    lang: "de",
    footer: "Causeway verbindet Apps mit AT-Protocol-Konten. Dein Passwort bleibt bei deinem Kontoanbieter.",
    sign_in: SignIn {
        trouble,
        heading: ("Anmelden bei ", ""),
        app: "Die App",
        this_device: ("eine App auf diesem Gerät (", ")"),
        server: "Dein Kontoanbieter",
        server_note: "Zum Beispiel Bluesky. Dort gibst du dein Passwort ein; diese Website bekommt es nie zu sehen.",
        label: "Dein Handle",
        hint: ("Zum Beispiel ", ", oder deine eigene Domain."),
        leads_to: (
            "Dieses Konto meldet sich bei ",
            " an. Geh nur weiter, wenn es deines ist und du die Adresse kennst.",
        ),
        example: "alice.bsky.social",
        submit: "Weiter",
        cancel: "Abbrechen",
        choose: "Mit welchem Konto?",
        choose_note: "Diese Konten hast du in diesem Browser schon benutzt. Dein Kontoanbieter lässt dich bestätigen, dass du es bist.",
        other_account: "Ein anderes Konto",
        help: "Was ist mein Handle?",
        help_account: "Du meldest dich mit deinem AT-Protocol-Konto an, wie es Bluesky und andere Apps \
                       verwenden. Ein Konto gilt in allen.",
        help_handle: (
            "Dein Handle ist der volle Name deines Kontos, ",
            ", so wie dein Profil ihn zeigt, ohne Leerzeichen.",
        ),
        help_domain: ("Ist dein Handle eine eigene Domain, gib diese ein, etwa ", "."),
        help_did: ("Eine Kontokennung geht auch: ", "."),
        help_server: (
            "Kennst du nur deinen Kontoanbieter, gib dessen Adresse ein, etwa ",
            ", und wähle das Konto dort.",
        ),
    },
    consent: Consent {
        heading: ("Darf ", " dein Konto benutzen?"),
        app: "Die App",
        verified: "Adresse geprüft",
        verified_note: (
            "Diese App weist sich durch ihre Webadresse aus, ",
            ". Die Adresse haben wir geprüft. Den Namen hat die App selbst gewählt.",
        ),
        not_verified: "nicht geprüft",
        not_verified_note: "Diese App ist nicht geprüft.",
        only_if_from_there: ("Mach nur weiter, wenn du von ", " gekommen bist."),
        only_if_this_device: "Mach nur weiter, wenn du diese App eben selbst gestartet hast.",
        only_if_device: "Mach nur weiter, wenn du das eben selbst auf deinem Gerät begonnen hast.",
        you: "Du",
        no_handle: "kein geprüftes Handle",
        on_server: ("auf ", ""),
        scopes: "Sie kann dann",
        servers: "Verbundene Dienste",
        server_connected: ("Deine Verbindung zu ", " benutzen, die auch deine anderen Apps benutzen"),
        server_next: ("", " für dich benutzen. Dort meldest du dich als Nächstes an."),
        far_reaching: "Weitreichender Zugriff",
        more: ("und ", " weitere"),
        exactly: "Technische Details",
        remember: "Bei dieser App, diesem Konto und diesen Berechtigungen nicht mehr fragen",
        allow: "Erlauben",
        deny: "Ablehnen",
        return_to: ("In beiden Fällen kommst du zurück zu ", "."),
        return_to_device: "Geh danach in beiden Fällen zu deinem Gerät zurück.",
    },
    account: Account {
        title: "Apps mit Zugriff",
        lead: "Apps, bei denen du dich in diesem Browser angemeldet hast, können dein Konto benutzen, bis du das \
               hier beendest.",
        notice,
        nothing: "In diesem Browser hat keine App Zugriff bekommen.",
        nothing_of_account: "Keine App hat Zugriff auf dieses Konto.",
        device: "Angemeldet",
        background: "Läuft im Hintergrund",
        needs_sign_in: "Dein Kontoanbieter möchte, dass du dich noch einmal anmeldest.",
        here: "dieser Browser",
        elsewhere: "ein anderer Browser oder ein anderes Gerät",
        since: "Seit",
        last_used: "Zuletzt benutzt",
        date,
        ago,
        scopes: "Was sie darf",
        end_device: ("Abmelden", " von "),
        end_background: ("Zugriff beenden", " von "),
        end_all_here: "Von allen hier abmelden",
        end_all_everywhere: "Jeden Zugriff auf dieses Konto beenden",
        end_all_background: "Das beendet auch, was im Hintergrund läuft.",
        only_here: "Hier stehen nur Anmeldungen aus diesem Browser. Melde dich an, um alle zu sehen.",
        see_all: "Anmelden und alles sehen",
        proven,
        leave: "Fertig: nur diesen Browser zeigen",
        other: "Ein anderes Konto",
        other_note: "Melde dich bei deinem Kontoanbieter an, um alles zu sehen und zu beenden, was auf ein Konto \
                     zugreifen kann, in welchem Browser oder welcher App es auch begonnen hat.",
        other_submit: "Anmelden und alles sehen",
    },
    logout: Logout {
        heading: ("Von ", " abmelden?"),
        what: "Die App verliert ihren Zugriff aus diesem Browser. Bei anderen Apps bleibst du angemeldet, und bei \
               deinem Kontoanbieter auch.",
        submit: "Abmelden",
        stay: "Angemeldet bleiben",
        done: "Du bist abgemeldet",
        done_of: ("In diesem Browser bist du von ", " abgemeldet."),
        others: "Bei anderen Apps bleibst du angemeldet, und bei deinem Kontoanbieter vielleicht auch.",
        onward_note: "Die App möchte, dass es von hier weitergeht, zu einer Adresse, die wir nicht kennen: Geh nur \
                      weiter, wenn du von dieser App kommst.",
        account: "Alle Apps mit Zugriff ansehen",
    },
    device: Device {
        title: "Ein Gerät verbinden",
        lead: "Hast du einen Code von einem anderen Gerät? Gib ihn hier ein und melde dich dann bei deinem \
               Kontoanbieter an.",
        label: "Code",
        hint: ("Acht Buchstaben, zum Beispiel ", ". Groß oder klein, mit Strich oder ohne."),
        example: "WDJB-MJHT",
        submit: "Weiter",
        trouble: device_trouble,
        heading: ("", " verbinden?"),
        on_device: "eine App auf einem Gerät",
        origin_unknown: "niemand weiß, woher diese App kommt",
        shown: "Dein Gerät zeigt",
        caution: "Mach nur weiter, wenn du das eben selbst begonnen hast und das Gerät vor dir genau diesen Code \
                  zeigt. Hat dir jemand den Code oder diese Seite geschickt, will er in dein Konto.",
        next: "Danach meldest du dich bei deinem Kontoanbieter an und siehst, was die App möchte, bevor du es \
               erlaubst.",
        proceed: "Es ist mein Gerät",
        deny: "Es ist nicht meines",
        done: "Dein Gerät ist verbunden",
        done_what: "Du kannst diese Seite schließen und zu deinem Gerät zurückgehen. In ein paar Sekunden macht es \
                    von selbst weiter.",
        denied: "Nichts wurde verbunden",
        denied_what: "Das Gerät hat keinen Zugriff auf dein Konto. Wolltest du es doch verbinden, beginne dort noch \
                      einmal.",
    },
    connect: Connect {
        heading: ("Ein Konto mit ", " verbinden"),
        verified: "bestätigt",
        provider: "Das Konto",
        provider_note: "Dort meldest du dich an. Diese Website bekommt dein Passwort nie zu sehen.",
        only_yours: (
            "Mach nur weiter, wenn du das eben selbst in ",
            " begonnen hast. Hat dir jemand diesen Link geschickt, schließ die Seite: Sonst wird dein Konto mit seinem verbunden.",
        ),
        again: "Das Konto ist schon verbunden und muss noch einmal verbunden werden. Melde dich mit demselben an.",
        background: "Die App kann das Konto auch benutzen, während du weg bist, bis du ihren Zugriff beendest.",
        scopes: ("Was bei ", " verlangt wird"),
        proceed: ("Weiter zu ", ""),
        done: "Das Konto ist verbunden",
        done_what: ("Dein Konto bei ", " ist verbunden. Du kannst diese Seite schließen."),
        site_note: "Was du hier eingibst, geht an diese Website und an niemanden sonst.",
        used_once: "Dein Passwort wird einmal benutzt und nicht aufbewahrt.",
        device: "Die App benutzt das Konto, während du sie auf diesem Gerät benutzt.",
        sign_in: ("Bei ", " anmelden"),
        step: ("", " verlangt noch etwas."),
        label_text: "Name",
        label_email: "E-Mail-Adresse",
        label_password: "Passwort",
        label_otp: "Einmalcode",
        refused: "Die Website hat das nicht angenommen. Prüf deine Eingaben und versuch es noch einmal.",
        unavailable: "Die Website antwortet gerade nicht. Versuch es später noch einmal.",
        unusable: "Die Antwort der Website ist hier nicht zu gebrauchen. Versuch es noch einmal, oder sag der App Bescheid.",
    },
    data_deletion: DataDeletion {
        done: "Deine Daten sind gelöscht",
        done_what: "Alles, was mit diesem Konto verbunden war, ist beendet, und der Zugriff darauf ist hier entfernt.",
        pending: "Deine Daten werden gelöscht",
        pending_what: "Das dauert ein paar Minuten. Du kannst diese Seite später noch einmal öffnen.",
    },
    form_post: FormPost {
        title: "Zurück zur App",
        lead: "Du wirst zu der App zurückgeschickt, von der du gekommen bist.",
        proceed: "Weiter",
    },
    scopes: Scopes {
        about_you: "Wer du bist",
        about_records: "Deine Posts und andere Einträge",
        about_files: "Dateien",
        about_services: "Dienste in deinem Namen",
        about_account: "Dein Konto selbst",
        about_sets: "Berechtigungspakete",
        about_resources: "Bei anderen Diensten",
        about_absence: "Wenn du nicht da bist",
        identity: "Dein Handle und deine Kontokennung (DID) sehen.",
        email: "Die E-Mail-Adresse deines Kontos sehen.",
        background: "Für dich weiterarbeiten, wenn du nicht da bist, bis du die Erlaubnis zurücknimmst.",
        generic: "Fast alles in deinem Konto lesen und schreiben: Posts, Likes, Follows, dein Profil und deine \
                  Einstellungen. Direktnachrichten gehören nicht dazu.",
        generic_risk: "Das ist so viel, wie ein App-Passwort erlaubt.",
        chat: "Deine Direktnachrichten auf Bluesky lesen und welche senden.",
        chat_risk: "Sie kann deine privaten Unterhaltungen lesen und in deinem Namen schreiben.",
        records: [
            "",
            "Einträge dieser Arten anlegen:",
            "Einträge dieser Arten ändern:",
            "Einträge dieser Arten anlegen und ändern:",
            "Einträge dieser Arten löschen:",
            "Einträge dieser Arten anlegen und löschen:",
            "Einträge dieser Arten ändern und löschen:",
            "Einträge dieser Arten anlegen, ändern und löschen:",
        ],
        records_any: [
            "",
            "Einträge jeder Art anlegen.",
            "Einträge jeder Art ändern.",
            "Einträge jeder Art anlegen und ändern.",
            "Einträge jeder Art löschen.",
            "Einträge jeder Art anlegen und löschen.",
            "Einträge jeder Art ändern und löschen.",
            "Einträge jeder Art anlegen, ändern und löschen.",
        ],
        records_any_risk: "Einträge sind alles, was du gemacht hast: Posts, Likes, Follows, dein Profil, und was \
                           andere Apps für dich aufbewahren.",
        kinds: &[
            ("app.bsky.actor.profile", "dein Profil"),
            ("app.bsky.feed.generator", "eigene Feeds"),
            ("app.bsky.feed.like", "Likes"),
            ("app.bsky.feed.post", "Posts"),
            ("app.bsky.feed.postgate", "wer dich zitieren darf"),
            ("app.bsky.feed.repost", "Reposts"),
            ("app.bsky.feed.threadgate", "wer dir antworten darf"),
            ("app.bsky.graph.block", "Blockierungen"),
            ("app.bsky.graph.follow", "Follows"),
            ("app.bsky.graph.list", "Listen"),
            ("app.bsky.graph.listblock", "blockierte Listen"),
            ("app.bsky.graph.listitem", "Mitglieder von Listen"),
            ("app.bsky.graph.starterpack", "Starterpakete"),
            ("chat.bsky.actor.declaration", "wer dir schreiben darf"),
        ],
        calls: ("Diese Funktionen des Dienstes ", " in deinem Namen benutzen:"),
        calls_any: ("Alles, was der Dienst ", " anbietet, in deinem Namen benutzen."),
        calls_any_risk: "Was das ist, entscheidet der Dienst.",
        calls_anywhere: "Diese Funktionen eines beliebigen Dienstes in deinem Namen benutzen:",
        images: "Bilder hochladen.",
        videos: "Videos hochladen.",
        audio: "Tonaufnahmen hochladen.",
        files: ("Dateien des Typs ", " hochladen."),
        files_any: "Dateien jeder Art hochladen.",
        email_manage: "Die E-Mail-Adresse deines Kontos sehen und ändern.",
        email_manage_risk: "Wem die Adresse gehört, der kann dein Passwort zurücksetzen lassen.",
        repo_read: "Alle deine Einträge lesen, die ohnehin öffentlich sind.",
        repo_manage: "Alles in deinem Konto durch eine eingespielte Kopie ersetzen.",
        repo_manage_risk: "Was du jetzt hast, kann verloren gehen. Apps, die mit Konten umziehen, brauchen das.",
        status_read: "Sehen, ob dein Konto aktiv ist.",
        status_manage: "Dein Konto stilllegen und wieder in Betrieb nehmen.",
        status_manage_risk: "Solange es stillliegt, sieht es niemand.",
        handle: "Dein Handle ändern.",
        handle_risk: "An deinem Handle findet man dich.",
        identity_any: "Deine Identität ändern: dein Handle, deine Schlüssel und deinen Kontoanbieter.",
        identity_any_risk: "Wer das hat, kann dein Konto für immer übernehmen.",
        set: ("Alles im Berechtigungspaket ", ""),
        set_service: (", beim Dienst ", ""),
        set_known: ":",
        set_unknown: ". Nur dein Kontoanbieter weiß, was dazugehört.",
    },
    error: Error {
        problem,
        detail: "Für die Entwickler der App, auf Englisch:",
        back: "Zurück zum Anfang",
        onward: ("Weiter zu ", ""),
        onward_note: "Du bist nicht angemeldet. Die App möchte davon erfahren, unter einer Adresse, die wir nicht kennen: \
                      Geh nur dorthin, wenn du von ihr kommst.",
        advice: "Was du tun kannst",
        status: "Status",
        code: "Fehler",
        request_id: "Anfragenummer",
        request_id_note: "Wenn du um Hilfe bittest, nenne die Anfragenummer.",
    },
    demo: Demo {
        title: "Ausprobieren",
        heading: "Ein OAuth-Server vor jedem AT-Protocol-Konto",
        what: "Mit Causeway meldet jeder gewöhnliche OAuth-Client Nutzer mit ihrem AT-Protocol-Konto an, egal bei \
               welchem Anbieter es liegt.",
        how: "Der Client spricht einfaches OAuth 2.1; Causeway spricht mit dem Kontoanbieter und hält die Sitzung \
              am Leben.",
        try_it: "Anmeldung ausprobieren",
        label: "Handle, DID oder Server",
        hint: ("Zum Beispiel ", "."),
        submit: "Anmelden",
        note: "Diese Seite ist ein gewöhnlicher öffentlicher Client dieses Servers: Discovery, PKCE, ein Code, \
               Token. Dein Passwort gibst du nur bei deinem Kontoanbieter ein.",
        no_script: "Diese Seite ist ein OAuth-Client in JavaScript und braucht deshalb JavaScript. Die \
                    Anmeldeseiten selbst kommen ohne aus.",
        signed_in: "Angemeldet",
        gets: "Das ist alles, was die App bekommt.",
        account: "Konto",
        handle: "Handle",
        did: "DID",
        pds: "Server (PDS)",
        scope: "Scope",
        session: "Sitzung",
        session_id: "Sitzungskennung",
        kind: "Art",
        state: "Zustand",
        head_iteration: "Aktuelle Iteration",
        session_iteration: "Token aus Iteration",
        token_expires: "Zugriffstoken endet",
        session_expires: "Sitzung endet",
        refresh: "Sitzung erneuern",
        refresh_note: "Causeway holt neue Token von deinem Kontoanbieter: Die Iteration steigt.",
        refresh_token: "Token erneuern",
        refresh_token_note: "Diese Seite holt neue Token von Causeway: Dein Kontoanbieter wird nicht gefragt.",
        sign_out: "Abmelden",
        sign_out_note: "Widerruft die Token dieser Seite.",
        developers: "In deiner App verwenden",
        developers_note: "Gib deiner OAuth-Bibliothek den Issuer. Den Rest findet sie selbst.",
        issuer: "Issuer",
        client_id: "Client-ID dieser Seite",
        metadata: "Metadaten des Servers",
    },
    home: Home {
        title: "Ein OAuth-Server für AT-Protocol-Konten",
        heading: "Das ist ein OAuth-Server für AT-Protocol-Konten",
        what: "Apps, die ihm vertrauen, können Nutzer mit ihrem AT-Protocol-Konto anmelden, egal bei welchem \
               Anbieter es liegt.",
        how: "Wolltest du dich anmelden, geh zurück zur App und beginne dort; baust du eine App, gib deiner \
              OAuth-Bibliothek den Issuer.",
        issuer: "Issuer",
        metadata: "Metadaten des Servers",
    },
};

const fn notice(notice: AccountNotice) -> &'static str {
    match notice {
        AccountNotice::Ended => "Der Zugriff ist beendet.",
        AccountNotice::EndedAll => "Alle diese Zugriffe sind beendet.",
        AccountNotice::Gone => {
            "Dieser Zugriff war schon beendet, oder es ist nicht Sache dieses Browsers, ihn zu beenden."
        }
        AccountNotice::NotProven => {
            "Deine Anmeldung dafür ist zu lange her. Bitte melde dich noch einmal an."
        }
        AccountNotice::NotSignedIn => {
            "Du hast dich nicht angemeldet. Hier stehen nur Anmeldungen aus diesem Browser."
        }
        AccountNotice::Left => "Hier stehen wieder nur Anmeldungen aus diesem Browser.",
    }
}

fn date(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ];
    let Day { year, month, day } = time::day_of(at);
    let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"");
    format!("{day}. {month} {year}")
}

fn ago(seconds: i64) -> String {
    match Ago::of(seconds) {
        Ago::Now => "gerade eben".to_owned(),
        Ago::Minutes(n) => format!("vor {n} Minuten"),
        Ago::Hours(1) => "vor 1 Stunde".to_owned(),
        Ago::Hours(n) => format!("vor {n} Stunden"),
        Ago::Days(1) => "vor 1 Tag".to_owned(),
        Ago::Days(n) => format!("vor {n} Tagen"),
    }
}

fn proven(minutes: i64) -> String {
    let unit = if minutes == 1 { "Minute" } else { "Minuten" };
    format!(
        "Du hast nachgewiesen, dass dieses Konto deines ist. {minutes} {unit} lang siehst du hier alles, was darauf \
         zugreifen kann."
    )
}

const fn device_trouble(trouble: DeviceTrouble) -> &'static str {
    match trouble {
        DeviceTrouble::Unknown => {
            "Dieser Code stimmt nicht, ist abgelaufen oder wurde schon benutzt. Sieh noch einmal auf dein Gerät."
        }
        DeviceTrouble::TooMany => {
            "Zu viele falsche Codes. Versuch es in einer Minute noch einmal. Dein Gerät zeigt dann vielleicht schon einen neuen Code."
        }
    }
}

const fn trouble(trouble: SignInTrouble) -> &'static str {
    match trouble {
        SignInTrouble::NoInput => "Gib ein Handle ein, etwa alice.example.com.",
        SignInTrouble::NotADid => "Keine DID, die AT Protocol kennt (did:plc:… oder did:web:…).",
        SignInTrouble::NotAHandle => "Kein Handle: Ein Handle ist ein Domainname wie alice.example.com.",
        SignInTrouble::NotAServer => "Keine Serveradresse: Gib sie als https://pds.example.com ein.",
        SignInTrouble::UnknownHandle => "Kein Konto hat dieses Handle.",
        SignInTrouble::UnansweredHandle => {
            "Die Domain dieses Handles war nicht zu fragen, wem es gehört. \
             Versuch es später noch einmal oder gib deine DID ein (did:plc:…)."
        }
        SignInTrouble::AmbiguousHandle => "Die DNS-Einträge des Handles nennen mehr als ein Konto.",
        SignInTrouble::ForeignHandle => "Das Handle führt zu einem Konto, das dieses Handle nicht verwendet.",
        SignInTrouble::UnknownDid => "Diese DID gibt es nicht.",
        SignInTrouble::LongDid => {
            "Diese DID ist länger als 255 Zeichen, und so lange nehmen Apps keine an. \
             Melde dich mit einem anderen Konto an."
        }
        SignInTrouble::BadDidDocument => "Das DID-Dokument dieses Kontos ist ungültig.",
        SignInTrouble::NoServer => "Das DID-Dokument des Kontos nennt keinen Kontoanbieter.",
        SignInTrouble::BadServer => "Der Anbieter dieses Kontos erlaubt keine sichere Anmeldung.",
        SignInTrouble::Unreachable => {
            "Der Anbieter dieses Kontos ist nicht zu erreichen oder antwortet nicht so, wie er soll."
        }
        SignInTrouble::NotAccepted => "Der Anbieter dieses Kontos hat die Anmeldeanfrage nicht angenommen.",
    }
}

const fn problem(problem: Problem) -> ProblemWords {
    const CANNOT_GO_ON: &str = "Diese Anmeldung geht nicht weiter";
    const WRONG: &str = "Etwas ist schiefgegangen";
    const AGAIN: &str = "Geh zurück zu der App, von der du gekommen bist, und beginne die Anmeldung in diesem \
                         Browser noch einmal. Cookies müssen für diese Seite erlaubt sein.";
    const LATER: &str = "Versuch es gleich noch einmal. Bleibt es dabei, nenne uns die Anfragenummer unten.";
    let (title, message, advice) = match problem {
        Problem::App => (
            "Diese Anfrage ist ungültig",
            "Die App, die dich hierher geschickt hat, hat in ihrer Anfrage einen Fehler gemacht.",
            "Es ist nicht dein Fehler. Sag den Entwicklern der App Bescheid und gib die Angaben unten weiter.",
        ),
        Problem::NotSignedInHere => (
            "Du bist bei dieser App nicht angemeldet",
            "Die App, die dich hierher geschickt hat, fragt, ob du angemeldet bist, und in diesem Browser warst du es nie.",
            "Öffne die App selbst, wenn du sie benutzen willst, und melde dich dort an.",
        ),
        Problem::OtherBrowser => {
            (CANNOT_GO_ON, "Sie hat in einem anderen Browser begonnen, oder Cookies sind gesperrt.", AGAIN)
        }
        Problem::SignInOver => (
            CANNOT_GO_ON,
            "Sie ist schon abgeschlossen, abgelaufen, oder hat in einem anderen Browser begonnen.",
            AGAIN,
        ),
        Problem::ConsentOver => (
            CANNOT_GO_ON,
            "Du hast diese Anfrage schon beantwortet, sie ist abgelaufen, oder sie gehört zu einem anderen Browser.",
            AGAIN,
        ),
        Problem::NotSignedIn => {
            (CANNOT_GO_ON, "Du hast dich bei deinem Kontoanbieter noch nicht angemeldet.", AGAIN)
        }
        Problem::ConnectOver => (
            "Dieser Link geht nicht mehr",
            "Er wurde schon benutzt, ist abgelaufen, oder wurde in einem anderen Browser geöffnet.",
            "Geh zurück zu der App, von der du gekommen bist, und beginne dort in diesem Browser noch einmal. Cookies \
             müssen für diese Seite erlaubt sein.",
        ),
        Problem::NotConnected(why) => return not_connected(why),
        Problem::Undecided => (CANNOT_GO_ON, "Die Antwort war weder Erlauben noch Ablehnen.", AGAIN),
        Problem::ForeignForm => (
            "Es wurde nichts geändert",
            "Dieses Formular kam nicht von einer unserer Seiten in diesem Browser.",
            "Öffne die Seite noch einmal und drücke den Knopf dort.",
        ),
        Problem::Internal => (WRONG, "Auf unserer Seite ist etwas schiefgegangen.", LATER),
        Problem::Busy => (WRONG, "Der Server ist im Augenblick überlastet.", LATER),
        Problem::TooMany => (
            "Zu viele Versuche",
            "Aus deinem Netz gab es in kurzer Zeit zu viele Anmeldungen.",
            "Warte eine Minute, geh zurück und versuch es noch einmal.",
        ),
        Problem::NotFound => (
            "Hier ist nichts",
            "Unter dieser Adresse gibt es keine Seite.",
            "Prüfe die Adresse, oder geh zurück zum Anfang.",
        ),
    };
    ProblemWords { title, message, advice }
}

const fn not_connected(why: NotConnected) -> ProblemWords {
    const AGAIN: &str = "Geh zurück zu der App, von der du gekommen bist. Willst du das Konto verbinden, beginne dort noch \
                         einmal.";
    let (message, advice) = match why {
        NotConnected::Denied => ("Du hast es nicht erlaubt.", AGAIN),
        NotConnected::ScopeMissing => (
            "Du hast nicht alles erlaubt, was die App braucht.",
            "Beginne in der App noch einmal und lass alle Haken gesetzt, die der Anbieter zeigt.",
        ),
        NotConnected::OtherAccount => (
            "Du hast dich mit einem anderen Konto angemeldet als dem verbundenen.",
            "Beginne in der App noch einmal und melde dich mit demselben Konto an wie zuvor.",
        ),
        NotConnected::NoRefreshToken => (
            "Der Anbieter hat den Zugriff nur für kurze Zeit gegeben. Das Konto bleibt verbunden, wie es war.",
            "Beende den Zugriff dieser App in den Einstellungen deines Kontos beim Anbieter und beginne dann in der App \
             noch einmal.",
        ),
        NotConnected::Unavailable => (
            "Der Anbieter ist im Augenblick nicht erreichbar.",
            "Versuch es in ein paar Minuten noch einmal.",
        ),
        NotConnected::Misconfigured => (
            "Dieser Server ist beim Anbieter nicht richtig eingerichtet.",
            "Es ist nicht dein Fehler. Sag dem Betreiber dieses Servers Bescheid und nenne ihm die Anfragenummer unten.",
        ),
        NotConnected::Refused => {
            ("Der Anbieter hat es nicht zugelassen, oder seine Antwort ist unbrauchbar.", AGAIN)
        }
    };
    ProblemWords { title: "Das Konto wurde nicht verbunden", message, advice }
}
