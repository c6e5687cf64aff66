//! Who a key belongs to, in three roles and two tiers.

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads prices and streams.
    Public,
    /// Posts ticks.
    Internal,
    /// Does everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Public, Self::Internal, Self::Admin];

    /// Gives the name as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }

    /// Gives what every key of the role starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Public => "chrono_public_",
            Self::Internal => "chrono_internal_",
            Self::Admin => "chrono_admin_",
        }
    }

    /// Finds a role by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// How much a public key may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tier {
    /// The lower limit, and what every key without a tier has.
    #[default]
    Free,
    /// The higher limit.
    Paid,
}

impl Tier {
    /// Gives the name as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Paid => "paid",
        }
    }

    /// Finds a tier by its name.
    pub fn find(name: &str) -> Option<Self> {
        [Self::Free, Self::Paid].into_iter().find(|tier| tier.as_str() == name)
    }
}
