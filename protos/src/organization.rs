//! Who runs the approvals.

use std::str::FromStr;

use crate::text::clean_line;

/// Who runs the approvals, and whom people ask about them (`COUNTERSIGN_ORGANIZATION`): mails and pages say
/// so, since people get links from nobody they know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Such as `Example Corp`.
    pub name: String,
    /// An e-mail address, a phone number or the URL of a page.
    pub contact: String,
}

/// Why a string is not an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a name and a contact, such as Example Corp <it-help@example.com>")]
pub struct NotAnOrganization;

impl Organization {
    /// For the end of mails and pages.
    pub fn imprint(&self) -> String {
        format!(
            "{} If you have questions, or doubt that it is genuine, ask {}",
            self.imprint_without_contact(),
            self.contact
        )
    }

    /// For the end of a mail that has named the contact before.
    pub fn imprint_without_contact(&self) -> String {
        format!("This is about an approval at {}.", self.name)
    }
}

impl FromStr for Organization {
    type Err = NotAnOrganization;

    fn from_str(text: &str) -> Result<Self, NotAnOrganization> {
        let text = clean_line(text);
        let (name, rest) = text.split_once('<').ok_or(NotAnOrganization)?;
        let contact = rest.strip_suffix('>').ok_or(NotAnOrganization)?;
        let (name, contact) = (name.trim(), contact.trim());
        if name.is_empty() || contact.is_empty() || contact.contains(['<', '>']) {
            return Err(NotAnOrganization);
        }
        Ok(Self { name: name.to_owned(), contact: contact.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_a_name_and_a_contact() {
        let organization: Organization =
            " Müller & Söhne <+49 30 123456>\n".parse().expect("an organization");
        assert_eq!(organization.name, "Müller & Söhne");
        assert_eq!(organization.contact, "+49 30 123456");
        assert!(organization.imprint().contains("at Müller & Söhne."));
        assert!(organization.imprint().ends_with("ask +49 30 123456"));
        let about = "This is about an approval at Müller & Söhne.";
        assert_eq!(organization.imprint_without_contact(), about);
        for wrong in
            ["", "Example Corp", "<help@example.com>", "Example <>", "A <b> <c>", "A <b> c"]
        {
            assert_eq!(wrong.parse::<Organization>(), Err(NotAnOrganization), "{wrong}");
        }
    }
}
