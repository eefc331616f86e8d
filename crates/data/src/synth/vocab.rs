//! The vocabulary of the charts: axis titles, categories, series and chart titles of papers from
//! many fields.

/// Names that can share an axis, with the title of that axis.
pub(super) struct Names {
    pub title: &'static str,
    pub names: &'static [&'static str],
    /// Whether the names have an order (years, doses), which a selection keeps.
    pub ordered: bool,
}

const fn ordered(title: &'static str, names: &'static [&'static str]) -> Names {
    Names {
        title,
        names,
        ordered: true,
    }
}

const fn free(title: &'static str, names: &'static [&'static str]) -> Names {
    Names {
        title,
        names,
        ordered: false,
    }
}

/// Titles of value axes.
pub(super) const VALUE_TITLES: [&str; 72] = [
    "Percentage (%)",
    "Number of patients",
    "Relative expression",
    "Absorbance (a.u.)",
    "Concentration (mg/L)",
    "Survival rate (%)",
    "Fold change",
    "Body weight (g)",
    "Accuracy (%)",
    "Prevalence (%)",
    "Mean score",
    "Cell viability (%)",
    "Frequency",
    "Intensity (a.u.)",
    "Temperature (°C)",
    "Yield (t/ha)",
    "Mortality (%)",
    "Blood glucose (mM)",
    "Tumor volume (mm³)",
    "Distance (km)",
    "Incidence",
    "Odds ratio",
    "Response time (ms)",
    "Energy (kJ/mol)",
    "OD 600",
    "Firing rate (Hz)",
    "Mass (kg)",
    "Velocity (m/s)",
    "Pressure (kPa)",
    "Power (mW)",
    "Error rate",
    "Count",
    "Number of species",
    "Biomass (g)",
    "Heart rate (bpm)",
    "IL-6 (pg/ml)",
    "CD4 count",
    "Optical density",
    "Growth rate",
    "Voltage (mV)",
    "Current (nA)",
    "Cost (USD)",
    "Reads (millions)",
    "pH",
    "Latency (s)",
    "Thickness (nm)",
    "Strain (%)",
    "Stress (MPa)",
    "Recall",
    "Precision",
    "Likelihood",
    "Sensitivity",
    "Serum level (ng/ml)",
    "BMI (kg/m²)",
    "Ratio",
    "Cases per 100,000",
    "Uptake (%)",
    "Depth (cm)",
    "Release (%)",
    "Rainfall (mm)",
    "Activity (U/mg)",
    "Coverage",
    "Height (cm)",
    "Dry mass (mg)",
    "Titer (log10)",
    "Time to event (d)",
    "Diversity index",
    "Methylation (%)",
    "Delta Ct",
    "Knee angle (deg)",
    "Force (N)",
    "Z score",
];

/// Titles of numeric base axes.
pub(super) const NUMBER_TITLES: [&str; 36] = [
    "Time (h)",
    "Time (min)",
    "Time (days)",
    "Dose (mg/kg)",
    "Age (years)",
    "Temperature (K)",
    "Wavelength (nm)",
    "Frequency (Hz)",
    "Distance (m)",
    "Concentration (nM)",
    "Week",
    "Iterations",
    "Position (bp)",
    "Depth (m)",
    "Frame",
    "Cycle number",
    "Training epochs",
    "1 - Specificity",
    "Length (mm)",
    "Year of study",
    "Load (N)",
    "Angle (deg)",
    "Day",
    "Trial",
    "Sample size",
    "Rank",
    "GC content (%)",
    "Follow-up (months)",
    "Lag",
    "Weight (kg)",
    "BMI",
    "Radius (cm)",
    "Threshold",
    "Pressure (bar)",
    "Score",
    "Generation",
];

/// Categories of the base axis.
pub(super) const CATEGORIES: [Names; 30] = [
    ordered(
        "Year",
        &[
            "2001", "2002", "2003", "2004", "2005", "2006", "2007", "2008", "2009", "2010",
        ],
    ),
    ordered(
        "Year",
        &["1990", "1995", "2000", "2005", "2010", "2015", "2020"],
    ),
    ordered(
        "Age group",
        &["<20", "20-29", "30-39", "40-49", "50-59", "60-69", "70+"],
    ),
    ordered(
        "Age (years)",
        &["0-4", "5-9", "10-14", "15-19", "20-24", "25-34", "35+"],
    ),
    ordered(
        "Month",
        &[
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
        ],
    ),
    ordered("Dose (mg/kg)", &["0", "1", "3", "10", "30", "100"]),
    ordered(
        "Concentration (µM)",
        &["0", "0.5", "1", "5", "10", "50", "100"],
    ),
    ordered(
        "Time point",
        &[
            "Baseline", "Week 4", "Week 8", "Week 12", "Week 24", "Week 52",
        ],
    ),
    ordered("Time", &["0 h", "6 h", "12 h", "24 h", "48 h", "72 h"]),
    ordered("Stage", &["I", "II", "III", "IV", "V"]),
    ordered("Quartile", &["Q1", "Q2", "Q3", "Q4"]),
    ordered("Day", &["D0", "D3", "D7", "D14", "D21", "D28"]),
    ordered(
        "Income group",
        &["Lowest", "Low", "Middle", "High", "Highest"],
    ),
    free(
        "Treatment",
        &[
            "Control",
            "Vehicle",
            "Low dose",
            "High dose",
            "Combined",
            "Sham",
            "Placebo",
        ],
    ),
    free("Genotype", &["WT", "KO", "HET", "dKO", "TG", "cKO", "mut1"]),
    free(
        "Country",
        &[
            "Kenya", "Ghana", "Brazil", "India", "China", "Peru", "Nepal", "Spain", "Japan",
            "Chile",
        ],
    ),
    free(
        "Tissue",
        &[
            "Liver", "Kidney", "Heart", "Lung", "Spleen", "Brain", "Muscle", "Skin",
        ],
    ),
    free(
        "Cell line",
        &[
            "HeLa", "MCF-7", "A549", "HepG2", "HEK293", "PC-3", "U2OS", "K562",
        ],
    ),
    free(
        "Method",
        &["SVM", "kNN", "RF", "CNN", "LDA", "Bayes", "LSTM", "PCA"],
    ),
    free(
        "Gene",
        &[
            "TP53", "MYC", "EGFR", "KRAS", "BRCA1", "SOX2", "GAPDH", "FOXP3",
        ],
    ),
    free(
        "Site",
        &[
            "North", "South", "East", "West", "Coast", "River", "Lake", "Forest",
        ],
    ),
    free(
        "Species",
        &[
            "Oak", "Pine", "Birch", "Maple", "Spruce", "Beech", "Ash", "Elm",
        ],
    ),
    free("Group", &["A", "B", "C", "D", "E", "F", "G", "H"]),
    free("Sample", &["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8"]),
    free(
        "Domain",
        &[
            "Memory",
            "Attention",
            "Language",
            "Motor",
            "Mood",
            "Sleep",
            "Pain",
            "Vision",
        ],
    ),
    free(
        "Compound",
        &[
            "DMSO", "Aspirin", "Caffeine", "Nicotine", "Taxol", "Curcumin", "Zinc",
        ],
    ),
    free(
        "Diagnosis",
        &[
            "Asthma", "Diabetes", "Stroke", "Cancer", "COPD", "Angina", "Anemia",
        ],
    ),
    free(
        "Condition",
        &["Rest", "Walk", "Run", "Cycle", "Stand", "Sit", "Climb"],
    ),
    free(
        "Food group",
        &[
            "Fruit", "Meat", "Dairy", "Grain", "Fish", "Sugar", "Nuts", "Beans",
        ],
    ),
    free(
        "Education",
        &["None", "Primary", "Secondary", "College", "Higher"],
    ),
];

/// Series names.
pub(super) const SERIES: [Names; 28] = [
    free("sex", &["Male", "Female", "Total", "Unknown"]),
    free(
        "treatment",
        &["Control", "Treated", "Vehicle", "Sham", "Drug A"],
    ),
    free("genotype", &["WT", "KO", "Het", "Mutant", "Rescue"]),
    free("period", &["Before", "After", "During", "Follow-up"]),
    free("model", &["Model 1", "Model 2", "Model 3", "Baseline"]),
    free("setting", &["Urban", "Rural", "Suburban", "Remote"]),
    free("case status", &["Cases", "Controls", "Carriers", "Exposed"]),
    free("answer", &["Always", "Often", "Sometimes", "Never"]),
    free("season", &["Spring", "Summer", "Autumn", "Winter"]),
    ordered("year", &["2008", "2010", "2012", "2014", "2016"]),
    free("method", &["LASSO", "Ridge", "Ours", "SVM", "GBM"]),
    free("diet", &["Chow", "HFD", "LFD", "Fasted", "Keto"]),
    free("group", &["Group A", "Group B", "Group C", "Group D"]),
    ordered("temperature", &["4 °C", "20 °C", "30 °C", "37 °C"]),
    free("antibody", &["IgG", "IgM", "IgA", "IgE"]),
    ordered("dose", &["0 mg", "5 mg", "10 mg", "50 mg"]),
    free("outcome", &["Mild", "Moderate", "Severe", "Fatal"]),
    free("smoking", &["Smokers", "Former", "Non-smokers"]),
    free("region", &["Shaanxi", "Beijing", "Sichuan", "Tibet"]),
    free("cytokine", &["TNF-a", "IL-1b", "IL-6", "IFN-g"]),
    free("signal", &["Raw", "Filtered", "Fitted", "Residual"]),
    free("light", &["Dark", "Light", "Red light", "UV-B"]),
    free("soil", &["Sand", "Clay", "Loam", "Peat"]),
    free("arm", &["Arm 1", "Arm 2", "Arm 3", "Placebo"]),
    free("stimulus", &["Cue", "Target", "Novel", "Neutral"]),
    free("data", &["Observed", "Predicted", "Simulated", "Expected"]),
    free("strain", &["PAO1", "K-12", "DH5a", "BL21"]),
    free("catalyst", &["Pt/C", "Ru/C", "Ni", "Fe-N-C"]),
];

/// Chart titles that name no variable of the chart.
pub(super) const TITLES: [&str; 30] = [
    "Overall results",
    "Main outcome",
    "Study population",
    "Dose response",
    "Time course",
    "All patients",
    "Cohort 1",
    "Cohort 2",
    "Experiment 1",
    "Experiment 2",
    "Mean values",
    "Trend over time",
    "Validation set",
    "Test data",
    "In vitro",
    "In vivo",
    "Adults",
    "Children",
    "Females only",
    "Primary endpoint",
    "Replicate 3",
    "Sensitivity test",
    "Field data",
    "Simulation",
    "Stage I",
    "Stage II",
    "Healthy donors",
    "Pilot study",
    "Long-term effects",
    "Site B",
];
